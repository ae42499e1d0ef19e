//! Lists of connections, of this pod or of all: pod by pod, and in each of them in the order in which they connected.

use axum::{Json, http::StatusCode};
use serde_json::{Map, Value, json};

use super::{
    Answer, Error, Management,
    page::Page,
    pods::{Answers, Missing, Question},
};
use crate::{broker::others::Pod, connection::Handle};

/// A part of the list of one pod.
#[derive(Default)]
struct Part {
    /// Each with its number.
    entries: Vec<(u64, Value)>,
    /// There are more behind them.
    has_more: bool,
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Start {
    /// In this pod, or one that comes after it.
    pod: String,
    /// There, behind this number.
    after: u64,
}

impl Management {
    /// A page of the list of that name: of all connections that are wanted, in all pods.
    pub(super) async fn list(
        &self,
        name: &'static str,
        question: &Question,
        page: Page,
        wanted: impl Fn(&Handle) -> bool + Send + 'static,
        show: impl Fn(&Handle) -> Option<Value> + Send + 'static,
    ) -> Answer<Value> {
        if question.is_of_pod {
            let part = self.part(page.after_number()?, page.limit, wanted, show);
            return Ok(Json(part.await?.told()));
        }
        let own: Pod = self.subjects().ids.instance();
        let start = Start::of(&page, &own, self.is_shared(question))?;
        let others = self.others();
        let is_known = others.is_some();
        let mut pods = others.unwrap_or_default();
        pods.retain(|pod| **pod >= *start.pod);
        let asked = pods.into_iter().map(|pod| {
            let path = question.list_after(page.limit, start.within(&pod));
            (pod, path)
        });
        let asked = self.ask(question, asked.collect());
        let here = async {
            if *own < *start.pod {
                return Ok(Part::default());
            }
            self.part(start.within(&own), page.limit, wanted, show)
                .await
        };
        let (here, answers) = tokio::join!(here, asked);
        let Answers { given, mut missing } = answers;
        if !is_known {
            missing.extend(Answers::unknown().missing);
        }
        let mut parts = vec![(own, here?)];
        for (pod, status, body) in given {
            match Part::read(status, body) {
                Some(part) => parts.push((pod, part)),
                None => missing.push(Missing::of(pod, "it cannot tell")),
            }
        }
        parts.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut answer = joined(name, parts, page.limit, self.is_shared(question));
        if self.is_shared(question) {
            let missing: Vec<_> = missing.iter().map(Missing::shown).collect();
            answer.insert("missing".to_owned(), missing.into());
        }
        Ok(Json(answer.into()))
    }

    async fn part(
        &self,
        after: u64,
        limit: usize,
        wanted: impl Fn(&Handle) -> bool + Send + 'static,
        show: impl Fn(&Handle) -> Option<Value> + Send + 'static,
    ) -> Result<Part, Error> {
        self.scan(move |subjects| {
            let mut found = subjects.registry.page(after, limit + 1, wanted);
            let has_more = found.len() > limit;
            found.truncate(limit);
            // One that has ended since it was found is not shown, but may be where the next page begins.
            let entries = found.iter();
            let entries =
                entries.map(|(number, handle)| (*number, show(handle).unwrap_or_default()));
            Part {
                entries: entries.collect(),
                has_more,
            }
        })
        .await
    }
}

impl Part {
    /// As one pod tells it another.
    fn told(self) -> Value {
        let entries = self.entries.into_iter();
        let entries: Vec<_> = entries
            .map(|(number, entry)| json!([number, entry]))
            .collect();
        json!({ "entries": entries, "more": self.has_more })
    }

    fn read(status: StatusCode, mut body: Value) -> Option<Self> {
        if !status.is_success() {
            return None;
        }
        let has_more = body["more"].as_bool()?;
        let Value::Array(entries) = body["entries"].take() else {
            return None;
        };
        let entries = entries.into_iter().map(|mut entry| {
            let number = entry.get(0)?.as_u64()?;
            let shown = entry.get_mut(1)?.take();
            (shown.is_null() || shown.is_object()).then_some((number, shown))
        });
        Some(Self {
            entries: entries.collect::<Option<_>>()?,
            has_more,
        })
    }
}

impl Start {
    /// `after` is a number; between pods, one of which it is has to be known as well.
    fn of(page: &Page, own: &str, is_shared: bool) -> Result<Self, Error> {
        let Some(after) = page.after.as_deref().filter(|_| is_shared) else {
            return Ok(Self {
                pod: if is_shared {
                    String::new()
                } else {
                    own.to_owned()
                },
                after: page.after_number()?,
            });
        };
        let (pod, after) = after.rsplit_once('/').ok_or_else(Page::bad_cursor)?;
        Ok(Self {
            pod: pod.to_owned(),
            after: after.parse().map_err(|_| Page::bad_cursor())?,
        })
    }

    /// Where that pod's part begins.
    fn within(&self, pod: &str) -> u64 {
        if *pod == *self.pod { self.after } else { 0 }
    }
}

/// The page: so many entries, and where the next one begins.
fn joined(
    name: &str,
    parts: Vec<(Pod, Part)>,
    limit: usize,
    is_shared: bool,
) -> Map<String, Value> {
    let mut shown = Vec::new();
    let mut count = 0;
    let mut last = None;
    let mut is_last = true;
    for (pod, part) in parts {
        let room = limit - count;
        let fits = part.entries.len() <= room;
        if room == 0 && !part.entries.is_empty() {
            is_last = false;
            break;
        }
        for (number, mut entry) in part.entries.into_iter().take(room) {
            count += 1;
            last = Some(if is_shared {
                format!("{pod}/{number}")
            } else {
                number.to_string()
            });
            if entry.is_null() {
                continue;
            }
            if is_shared {
                entry["pod"] = (*pod).into();
            }
            shown.push(entry);
        }
        if !fits || part.has_more {
            is_last = false;
            break;
        }
    }
    let mut answer = Map::new();
    answer.insert(name.to_owned(), shown.into());
    answer.insert("next".to_owned(), last.filter(|_| !is_last).into());
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(numbers: &[u64], has_more: bool) -> Part {
        Part {
            entries: numbers
                .iter()
                .map(|number| (*number, json!({ "n": number })))
                .collect(),
            has_more,
        }
    }

    fn page(parts: Vec<(&str, Part)>, limit: usize) -> (Vec<u64>, Option<String>) {
        let parts = parts.into_iter().map(|(pod, part)| (pod.into(), part));
        let answer = joined("x", parts.collect(), limit, true);
        let shown = answer["x"].as_array().unwrap().iter();
        let next = answer["next"].as_str().map(str::to_owned);
        (
            shown.map(|entry| entry["n"].as_u64().unwrap()).collect(),
            next,
        )
    }

    #[test]
    fn a_page_goes_on_where_the_last_one_ended_also_in_another_pod() {
        let all = || vec![("a.1", part(&[1, 2], false)), ("b.1", part(&[1, 9], false))];
        assert_eq!(page(all(), 4), (vec![1, 2, 1, 9], None));
        assert_eq!(page(all(), 3), (vec![1, 2, 1], Some("b.1/1".to_owned())));
        assert_eq!(page(all(), 2), (vec![1, 2], Some("a.1/2".to_owned())));
        let more = vec![("a.1", part(&[1, 2], true)), ("b.1", part(&[1], false))];
        // What is not told of a pod comes before what the next one tells.
        assert_eq!(page(more, 5), (vec![1, 2], Some("a.1/2".to_owned())));
        assert_eq!(
            page(
                vec![("a.1", part(&[], false)), ("b.1", part(&[3], true))],
                1
            ),
            (vec![3], Some("b.1/3".to_owned()))
        );
    }

    #[test]
    fn a_part_is_told_and_read() {
        let told = part(&[1, 2], true).told();
        let read = Part::read(StatusCode::OK, told).unwrap();
        assert_eq!(read.entries, part(&[1, 2], true).entries);
        assert!(read.has_more);
        for wrong in [
            json!(1),
            json!({ "more": true }),
            json!({ "more": true, "entries": [1] }),
            json!({ "more": true, "entries": [[1]] }),
            json!({ "more": true, "entries": [[1, 2]] }),
        ] {
            assert!(Part::read(StatusCode::OK, wrong).is_none());
        }
        assert!(Part::read(StatusCode::NOT_FOUND, json!({})).is_none());
    }
}
