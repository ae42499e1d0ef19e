//! Parts of long lists: how much of them is wanted, behind what, and where the next part begins.

use serde_json::{Map, Value};

use super::{Error, Fields};

/// Entries of a page where nothing is said.
const USUAL: usize = 100;
/// The most entries of a page.
const MOST: usize = 1000;

/// Which part is wanted.
pub(super) struct Page {
    /// Entries at most.
    pub(super) limit: usize,
    /// Where the page before ended, as its `next` says.
    pub(super) after: Option<String>,
}

impl Page {
    pub(super) fn of(fields: &mut Fields) -> Result<Self, Error> {
        let limit = fields.text("limit");
        let limit = match limit.as_deref().map(str::parse) {
            None => USUAL,
            Some(Ok(limit)) if (1..=MOST).contains(&limit) => limit,
            Some(_) => {
                return Err(Error::field(
                    "limit",
                    format!("write a number from 1 to {MOST}"),
                ));
            }
        };
        let after = fields.text("after");
        Ok(Self { limit, after })
    }

    /// The number that `after` is, for lists in the order of numbers.
    pub(super) fn after_number(&self) -> Result<u64, Error> {
        let Some(after) = &self.after else {
            return Ok(0);
        };
        after.parse().map_err(|_| Self::bad_cursor())
    }

    pub(super) fn bad_cursor() -> Error {
        Error::field("after", "it is not the \"next\" of a page; write that")
    }

    /// The page as it is answered. `entries` has one more than are wanted, if there are more; `cursor` tells the place
    /// of an entry. One that has ended since it was found is not shown, but may be where the next page begins.
    pub(super) fn answer<T>(
        &self,
        name: &str,
        mut entries: Vec<T>,
        cursor: impl Fn(&T) -> String,
        show: impl Fn(&T) -> Option<Value>,
    ) -> Value {
        let is_last = entries.len() <= self.limit;
        entries.truncate(self.limit);
        let next = entries.last().filter(|_| !is_last).map(cursor);
        let shown: Vec<Value> = entries.iter().filter_map(show).collect();
        let mut answer = Map::new();
        answer.insert(name.to_owned(), shown.into());
        answer.insert("next".to_owned(), next.into());
        answer.into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(query: &str) -> Result<Page, Error> {
        let mut fields = Fields::of_query(&format!("/x?{query}").parse().unwrap())?;
        Page::of(&mut fields)
    }

    #[test]
    fn a_page_has_bounds() {
        assert_eq!(page("").unwrap().limit, 100);
        assert_eq!(page("limit=1000").unwrap().limit, 1000);
        for limit in ["0", "1001", "-1", "x", ""] {
            assert!(page(&format!("limit={limit}")).is_err(), "{limit}");
        }
        assert_eq!(page("after=7").unwrap().after_number(), Ok(7));
        assert!(page("after=x").unwrap().after_number().is_err());
    }

    #[test]
    fn the_next_page_is_named_while_there_is_one() {
        let answer = |entries: Vec<u64>| {
            let page = page("limit=2").unwrap();
            page.answer("numbers", entries, ToString::to_string, |number| {
                (*number != 2).then(|| json!(number))
            })
        };
        assert_eq!(answer(vec![1, 2, 3]), json!({"numbers": [1], "next": "2"}));
        assert_eq!(answer(vec![3]), json!({"numbers": [3], "next": null}));
        assert_eq!(answer(vec![]), json!({"numbers": [], "next": null}));
    }
}
