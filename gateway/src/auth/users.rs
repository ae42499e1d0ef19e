//! Users in a file: a line `NAME:HASH` or `NAME:HASH:KEY=VALUE,…` for each.
//!
//! A million of them are kept as the text that they are, and found by an index of four bytes each.

use std::ops::Range;

use config::{AttributeName, ClientName};

use super::{Attributes, Credentials, Error, Grant, Verdict, hash::Hash, hasher::Hasher};
use crate::files::{self, Limit};

/// The largest file that is read: some ten million users.
const LARGEST: Limit = Limit::mib(2048, "ask a service or Redis for so many users");

/// The users of a file.
pub(super) struct Users {
    by: ClientName,
    text: Box<str>,
    /// Where their lines start, in the order of their names.
    lines: Box<[u32]>,
    hasher: Hasher,
}

/// One line in its parts.
struct Line<'a> {
    name: &'a str,
    hash: &'a str,
    attributes: &'a str,
}

impl Users {
    pub(super) fn load(config: &config::UsersFile, hasher: Hasher) -> Result<Self, Error> {
        let path = &config.path;
        let text = files::read_text(path, LARGEST)?;
        let lines = index(&text).map_err(|(line, problem)| Error::Line {
            path: path.clone(),
            line,
            problem,
        })?;
        if lines.is_empty() {
            tracing::warn!(file = %path.display(), "the file names no user");
        }
        Ok(Self {
            by: config.name,
            text: text.into(),
            lines,
            hasher,
        })
    }

    pub(super) async fn authenticate(&self, credentials: &Credentials) -> Verdict {
        let name = match self.by {
            ClientName::Username => &credentials.username,
            ClientName::Clientid => &credentials.clientid,
        };
        let Some(line) = self.find(name) else {
            return Verdict::Ignore;
        };
        match self
            .hasher
            .verify(line.hash, credentials.password.reveal())
            .await
        {
            Ok(true) => Verdict::Allow(Grant {
                attributes: attributes(line.attributes).unwrap_or_default(),
                ..Grant::default()
            }),
            Ok(false) => Verdict::bad_password(),
            Err(busy) => Verdict::unavailable(busy),
        }
    }

    fn find(&self, name: &str) -> Option<Line<'_>> {
        let place = self
            .lines
            .binary_search_by(|start| name_at(&self.text, *start).cmp(name))
            .ok()?;
        let rest = &self.text[self.lines[place] as usize..];
        split(rest.lines().next()?)
    }
}

/// The starts of all lines with users, in the order of their names. Else the first line that is wrong, and why.
fn index(text: &str) -> Result<Box<[u32]>, (usize, String)> {
    let mut lines = Vec::new();
    for (number, range) in ranges(text).enumerate() {
        let line = &text[range.clone()];
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        check(line).map_err(|problem| (number + 1, problem))?;
        lines.push(u32::try_from(range.start).expect("the file's size was looked at"));
    }
    lines.sort_unstable_by(|one, other| {
        let by_name = name_at(text, *one).cmp(name_at(text, *other));
        by_name.then(one.cmp(other))
    });
    let twin = lines
        .windows(2)
        .find(|pair| name_at(text, pair[0]) == name_at(text, pair[1]));
    if let Some(twin) = twin {
        let number = |start: u32| text[..start as usize].lines().count() + 1;
        let problem = format!(
            "the name stands in line {} already; remove one",
            number(twin[0])
        );
        return Err((number(twin[1]), problem));
    }
    Ok(lines.into())
}

/// Where the lines of a text are, without their ends.
fn ranges(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    text.split_inclusive('\n').map(move |line| {
        let whole = start..start + line.len();
        start = whole.end;
        whole.start..whole.start + line.trim_end_matches(['\r', '\n']).len()
    })
}

fn name_at(text: &str, start: u32) -> &str {
    let rest = &text[start as usize..];
    rest.split(':').next().unwrap_or(rest)
}

fn split(line: &str) -> Option<Line<'_>> {
    let (name, rest) = line.split_once(':')?;
    let (hash, attributes) = rest.split_once(':').unwrap_or((rest, ""));
    Some(Line {
        name,
        hash,
        attributes,
    })
}

fn check(line: &str) -> Result<(), String> {
    let line = split(line).ok_or("it is not NAME:HASH; write a colon between the two")?;
    if line.name.is_empty() {
        return Err("there is no name before the colon; write one".to_owned());
    }
    Hash::parse(line.hash)?;
    attributes(line.attributes)?;
    Ok(())
}

/// `KEY=VALUE,KEY=VALUE`.
fn attributes(text: &str) -> Result<Attributes, &'static str> {
    let mut attributes = Attributes::new();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let pair = pair.split_once('=').filter(|(key, _)| !key.is_empty());
        let (key, value) = pair.ok_or("what follows the hash is not KEY=VALUE,KEY=VALUE")?;
        if !AttributeName::allows(key) {
            return Err("the KEY of an attribute has A-Z, a-z, 0-9, _ and - only; rename it");
        }
        attributes.insert(key.into(), value.into());
    }
    Ok(attributes)
}
