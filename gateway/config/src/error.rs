//! What is wrong with a configuration, and where.

use std::{fmt, io, path::PathBuf, sync::Arc};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read at all.
    #[error("cannot read {}: {source}; check that it exists, is text, and that this user may read it", path.display())]
    Read {
        /// The file, as it was named to us.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The file or the environment was read, and what it says is wrong. One line per problem.
    #[error("{}", Lines(problems))]
    Invalid {
        /// What is to be mended, never empty.
        problems: Vec<Problem>,
    },
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Invalid {
            problems: vec![problem],
        }
    }
}

/// One thing to mend: where it stands, what is wrong, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is written.
    pub place: Place,
    /// The path of the field, such as `listeners[0].bind`; empty when the problem is not in one.
    pub field: String,
    /// What is wrong and what to write instead.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        write!(to, "{}: ", self.place)?;
        if !self.field.is_empty() {
            write!(to, "{}: ", self.field)?;
        }
        to.write_str(&self.text)
    }
}

/// Where a value is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File {
        /// The file, as it was named to us.
        name: Arc<str>,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
    },

    /// In an environment variable of this name.
    Variable(Arc<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::File { name, line, column } => write!(to, "{name}:{line}:{column}"),
            Self::Variable(name) => write!(to, "environment variable {name}"),
        }
    }
}

struct Lines<'a>(&'a [Problem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                to.write_str("\n")?;
            }
            problem.fmt(to)?;
        }
        Ok(())
    }
}
