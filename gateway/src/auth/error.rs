//! Why a chain could not be made: a file that it names cannot be used.

use std::{io, path::PathBuf};

use crate::{files, services, tls};

/// A file of an authenticator cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read.
    #[error(transparent)]
    File(#[from] files::Error),
    /// A line of it is wrong.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong, and what would be right. Holds nothing of a hash.
        problem: String,
    },
    /// It holds something else.
    #[error("{} {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A key or certificate in it cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// A service cannot be asked.
    #[error(transparent)]
    Service(#[from] services::Error),
    /// The threads that hash could not be started.
    #[error("cannot start a thread to hash passwords")]
    Thread(#[source] io::Error),
}
