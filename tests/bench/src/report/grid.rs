//! Figures of several things of one kind: a row for each, and a column for each figure.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{cell, number, settings};

/// What one column tells.
pub(crate) struct Column {
    /// In the table.
    title: &'static str,
    /// In JSON, behind the row's name.
    key: &'static str,
    /// Behind the point.
    digits: usize,
}

impl Column {
    pub(crate) const fn new(title: &'static str, key: &'static str, digits: usize) -> Self {
        Self { title, key, digits }
    }
}

/// Rows of `N` figures.
pub(crate) struct Grid<const N: usize> {
    /// What a run was asked for.
    settings: Map<String, Value>,
    columns: [Column; N],
    rows: Vec<(&'static str, [Option<f64>; N])>,
}

impl<const N: usize> Grid<N> {
    /// Figures of a run with these settings.
    pub(crate) fn new(asked: &[(&str, Value)], columns: [Column; N]) -> Self {
        Self {
            settings: settings(asked),
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row. None: that figure was not measured.
    pub(crate) fn row(mut self, name: &'static str, figures: [Option<f64>; N]) -> Self {
        self.rows.push((name, figures));
        self
    }

    /// Puts it on stdout: nothing else does.
    pub(crate) fn print(&self, json: bool) {
        println!("{}", if json { self.json() } else { self.table() });
    }

    /// Each figure under `ROW_COLUMN`, and the settings.
    fn json(&self) -> String {
        let mut object = Map::new();
        for (name, figures) in &self.rows {
            for (column, figure) in self.columns.iter().zip(figures) {
                let key = format!("{name}_{}", column.key);
                object.insert(key, number(*figure, column.digits));
            }
        }
        object.extend(self.settings.clone());
        Value::Object(object).to_string()
    }

    fn table(&self) -> String {
        let mut text = format!("{:12}", "");
        // Writing to a string cannot fail.
        for column in &self.columns {
            let _ = write!(text, "{:>13}", column.title);
        }
        for (name, figures) in &self.rows {
            let _ = write!(text, "\n{name:12}");
            for (column, figure) in self.columns.iter().zip(figures) {
                let _ = write!(text, "{:>13}", cell(*figure, column.digits));
            }
        }
        format!("{text}\n{}", super::list(&self.settings))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_figure_is_found_by_its_row_and_column() {
        let columns = [
            Column::new("per second", "per_second", 1),
            Column::new("ratio", "ratio", 3),
        ];
        let grid = Grid::new(&[("rounds", json!(3))], columns)
            .row("quiet", [None, None])
            .row("file", [Some(40.04), Some(1.0625)]);
        let found: Value = serde_json::from_str(&grid.json()).unwrap();
        let wanted = json!({
            "quiet_per_second": null,
            "quiet_ratio": null,
            "file_per_second": 40,
            "file_ratio": 1.062,
            "rounds": 3,
        });
        assert_eq!(found, wanted);
        assert_eq!(grid.table().lines().count(), 4);
    }
}
