//! Medians of rounds, and the two forms in which figures are printed: one JSON object, or a table for people.

/// Several things of one kind.
mod grid;

use std::fmt::Write as _;

use serde_json::{Map, Value};

pub(crate) use self::grid::{Column, Grid};

/// The gateway's figures beside the ceiling's, or one thing's beside another's.
pub(crate) struct Report {
    /// What a run was asked for, such as the number of connections.
    settings: Map<String, Value>,
    /// What stands above the figures.
    columns: [&'static str; 2],
    rows: Vec<Row>,
}

struct Row {
    /// In the table.
    title: String,
    /// In JSON, by column.
    keys: [String; 2],
    /// By column. None: it was not measured.
    figures: [Option<f64>; 2],
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        let [left, right] = self.figures;
        let ratio = left.zip(right).map(|(left, right)| left / right);
        ratio.filter(|ratio| ratio.is_finite())
    }
}

impl Report {
    /// Figures of a run with these settings.
    pub(crate) fn new(asked: &[(&str, Value)]) -> Self {
        Self {
            settings: settings(asked),
            columns: ["gateway", "ceiling"],
            rows: Vec::new(),
        }
    }

    /// Compares others than the gateway and its ceiling.
    pub(crate) fn columns(mut self, columns: [&'static str; 2]) -> Self {
        self.columns = columns;
        self
    }

    /// Adds one figure of each column.
    pub(crate) fn row(
        mut self,
        title: &'static str,
        keys: [&'static str; 2],
        figures: [Option<f64>; 2],
    ) -> Self {
        self.add(title, keys.map(str::to_owned), figures);
        self
    }

    /// The same, where the names are not known beforehand.
    pub(crate) fn add(&mut self, title: &str, keys: [String; 2], figures: [Option<f64>; 2]) {
        self.rows.push(Row {
            title: title.to_owned(),
            keys,
            figures,
        });
    }

    /// Puts it on stdout: nothing else does.
    pub(crate) fn print(&self, json: bool, ratio: &str) {
        println!("{}", if json { self.json(ratio) } else { self.table() });
    }

    /// Every figure, the settings, and under `ratio` the first row's ratio.
    fn json(&self, ratio: &str) -> String {
        let mut object = Map::new();
        for row in &self.rows {
            for (key, figure) in row.keys.iter().zip(row.figures) {
                object.insert(key.clone(), number(figure, 1));
            }
        }
        let first = self.rows.first().and_then(Row::ratio);
        object.insert(ratio.to_owned(), number(first, 3));
        object.extend(self.settings.clone());
        Value::Object(object).to_string()
    }

    /// For people.
    fn table(&self) -> String {
        let [left, right] = self.columns;
        let mut text = format!("{:28}{left:>14}{right:>14}{:>8}\n", "", "ratio");
        for row in &self.rows {
            let [left, right] = row.figures.map(|figure| cell(figure, 1));
            let ratio = cell(row.ratio(), 2);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:28}{left:>14}{right:>14}{ratio:>8}", row.title);
        }
        text + &list(&self.settings)
    }
}

/// Puts single figures on stdout: as one JSON object, or one a line.
pub(crate) fn facts(report: &Value, json: bool) {
    if json {
        println!("{report}");
        return;
    }
    for (name, value) in report.as_object().into_iter().flatten() {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        println!("{name:30}{text:>14}");
    }
}

fn settings(asked: &[(&str, Value)]) -> Map<String, Value> {
    let asked = asked.iter();
    asked
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect()
}

fn list(settings: &Map<String, Value>) -> String {
    let settings = settings.iter();
    let settings: Vec<_> = settings
        .map(|(key, value)| format!("{key} {value}"))
        .collect();
    settings.join(", ")
}

/// The middle one, or the mean of the middle two; none of none.
pub(crate) fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let upper = figures.get(figures.len() / 2)?;
    let lower = figures.get((figures.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

fn cell(figure: Option<f64>, digits: usize) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}"))
}

/// Bytes are whole numbers. No figure, or one that is not finite, is null.
fn number(figure: Option<f64>, digits: usize) -> Value {
    let text = cell(figure, digits);
    let text = text.strip_suffix(".0").unwrap_or(&text);
    text.parse().unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(gateway: Option<f64>) -> Report {
        let keys = ["messages_per_second", "ceiling_messages_per_second"];
        Report::new(&[("rounds", json!(3))]).row("echoes", keys, [gateway, Some(200.0)])
    }

    #[test]
    fn the_ratio_is_ours_by_the_ceilings() {
        let json: Value =
            serde_json::from_str(&report(Some(150.04)).json("ceiling_ratio")).unwrap();
        let wanted = json!({
            "messages_per_second": 150,
            "ceiling_messages_per_second": 200,
            "ceiling_ratio": 0.75,
            "rounds": 3,
        });
        assert_eq!(json, wanted);
    }

    #[test]
    fn what_was_not_measured_is_null_and_a_dash() {
        let report = report(None);
        assert!(report.json("r").contains("\"messages_per_second\":null"));
        assert!(report.json("r").contains("\"r\":null"));
        assert!(report.table().contains('-'));
    }

    #[test]
    fn one_bad_round_does_not_move_the_median() {
        assert_eq!(median(vec![100.0, 3.0, 101.0]), Some(100.0));
        assert_eq!(median(vec![1.0, 2.0]), Some(1.5));
        assert_eq!(median(Vec::new()), None);
    }
}
