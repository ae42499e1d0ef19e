//! A file with the addresses of the handler's replicas.

use std::{path::Path, sync::Arc};

use super::HandlerAddress;
use crate::{
    ByteSize, Error, Place, Problem,
    read::read_each,
    text_file,
    tree::{self, Content},
};

/// The largest file that is read: a thousand addresses and a line of comment to each fit easily.
const MAX_FILE: ByteSize = ByteSize::kib(1024);
/// How many problems of a file are told; who made them knows more by then.
const MAX_PROBLEMS: usize = 20;

/// The addresses of a file: one a line, or a YAML list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HandlerList(pub Vec<HandlerAddress>);

/// An address and where it stands.
type Written = (Place, HandlerAddress);

impl HandlerList {
    /// Reads a file of at most 1 MiB that holds at most so many addresses.
    pub fn load(path: &Path, most: u32) -> Result<Self, Error> {
        let text = text_file::read(path, MAX_FILE)?;
        Self::parse(&text, &path.display().to_string(), most)
    }

    /// Reads text. Problems are reported as being in `origin`.
    pub fn parse(text: &str, origin: &str, most: u32) -> Result<Self, Error> {
        let mut lines = text.lines().map(str::trim);
        let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
        let is_yaml = first.is_some_and(|line| line.starts_with(['-', '[']));
        let written = if is_yaml {
            yaml(text, origin)?
        } else {
            plain(text, origin)?
        };
        if written.is_empty() && !is_yaml {
            return Err(Error::from(Problem {
                place: place(&origin.into(), 1, 1),
                field: String::new(),
                text: "there is no address; write one a line, or [] where there is no handler"
                    .into(),
            }));
        }
        let problems = crossed(&written, most);
        if problems.is_empty() {
            let addresses = written.into_iter().map(|(_, address)| address);
            Ok(Self(addresses.collect()))
        } else {
            Err(Error::Invalid { problems })
        }
    }
}

fn yaml(text: &str, origin: &str) -> Result<Vec<Written>, Error> {
    let root = tree::parse(text, origin)?;
    let Content::List(items) = &root.content else {
        return Err(Error::from(Problem {
            place: root.place,
            field: String::new(),
            text: "this is no list; write each address after a dash, or one a line".into(),
        }));
    };
    let addresses = read_each(items, MAX_PROBLEMS);
    let addresses = addresses.map_err(|problems| Error::Invalid { problems })?;
    let places = items.iter().map(|item| item.place.clone());
    Ok(places.zip(addresses).collect())
}

fn plain(text: &str, origin: &str) -> Result<Vec<Written>, Error> {
    let origin: Arc<str> = origin.into();
    let mut written = Vec::new();
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let before_comment = line.split('#').next().unwrap_or_default();
        let address = before_comment.trim();
        if address.is_empty() {
            continue;
        }
        let column = before_comment.len() - before_comment.trim_start().len() + 1;
        let place = place(&origin, index + 1, column);
        match address.parse() {
            Ok(address) => written.push((place, address)),
            Err(text) => problems.push(Problem {
                place,
                field: String::new(),
                text,
            }),
        }
        if problems.len() == MAX_PROBLEMS {
            break;
        }
    }
    if problems.is_empty() {
        Ok(written)
    } else {
        Err(Error::Invalid { problems })
    }
}

/// What is wrong with addresses that are good by themselves.
fn crossed(written: &[Written], most: u32) -> Vec<Problem> {
    let twice = written
        .iter()
        .enumerate()
        .filter_map(|(index, written_at)| {
            let (place, address) = written_at;
            let (before, _) = written[..index].iter().find(|(_, each)| each == address)?;
            Some((
                place,
                format!("{address} stands at {before} already; remove one"),
            ))
        });
    let surplus = written.get(most as usize).map(|(place, _)| {
        let text = format!(
            "this is one address more than {most} (handler.max_endpoints); write fewer, or more there"
        );
        (place, text)
    });
    let all = surplus.into_iter().chain(twice).take(MAX_PROBLEMS);
    all.map(|(place, text)| Problem {
        place: place.clone(),
        field: String::new(),
        text,
    })
    .collect()
}

fn place(name: &Arc<str>, line: usize, column: usize) -> Place {
    Place::File {
        name: name.clone(),
        line,
        column,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<String>, String> {
        let list = HandlerList::parse(text, "handlers", 3).map_err(|error| error.to_string())?;
        Ok(list.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn lines_and_yaml_are_read() {
        let both = Ok(vec!["http://a:1".to_owned(), "https://b:2".to_owned()]);
        for text in [
            "a:1\nhttps://b:2\n",
            "# ours\n\n  a:1 # the old one\n\thttps://b:2",
            "# ours\n- a:1\n- https://b:2\n",
            "[a:1, 'https://b:2']",
        ] {
            assert_eq!(parse(text), both, "{text}");
        }
        assert_eq!(parse("[]"), Ok(vec![]));
    }

    #[test]
    fn a_bad_file_names_its_lines() {
        for (text, expected) in [
            (
                "",
                "handlers:1:1: there is no address; write one a line, or []",
            ),
            ("# none\n", "handlers:1:1: there is no address"),
            (
                "a:1\n  b\n",
                "handlers:2:3: \"b\" is not a handler's address",
            ),
            (
                "- a:1\n- b\n",
                "handlers:2:3: [1]: \"b\" is not a handler's address",
            ),
            (
                "a:1\nb:1\na:1",
                "handlers:3:1: http://a:1 stands at handlers:1:1 already",
            ),
            (
                "a:1\nb:1\nc:1\nd:1",
                "handlers:4:1: this is one address more than 3",
            ),
            (
                "- {a: 1}\n",
                "handlers:1:3: [0]: this is a mapping; write an address",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }
}
