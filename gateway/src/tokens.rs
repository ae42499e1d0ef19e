//! Bearer tokens: those that stand in files, and the one that a request brings. Tokens themselves are in no memory but
//! the request's, and in no log or error: what is kept of them is their SHA-256.

use std::{collections::HashMap, path::PathBuf};

use arc_swap::ArcSwap;
use http::{HeaderMap, header::AUTHORIZATION};
use ring::digest::{SHA256, digest};

use crate::files::{self, Limit};

/// Shorter tokens are refused: they can be guessed.
const SHORTEST: usize = 16;
/// The most bytes of a file with tokens; far more than anybody needs.
const LONGEST_FILE: Limit = Limit::mib(1, "write one token a line, and nothing else");
/// What stands before a token in its header.
const SCHEME: &str = "bearer";

/// The SHA-256 of a token.
type Digest = [u8; 32];

/// Why a file with tokens cannot be used. No text shows a token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] files::Error),
    /// A line cannot be a token.
    #[error("{}:{line}: {problem}; write a random token, such as of `openssl rand -hex 32`", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Nothing is in it.
    #[error("{} holds no token; write one a line, such as of `openssl rand -hex 32`", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
    },
    /// Whose a token is could not be told.
    #[error("{}:{line}: the token stands in {} too; give each file tokens of its own", path.display(), other.display())]
    Shared {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The other file.
        other: PathBuf,
    },
}

/// The tokens of some files, which may change.
pub struct Tokens {
    files: Vec<PathBuf>,
    /// Whose file each stands in.
    known: ArcSwap<HashMap<Digest, usize>>,
}

/// What a request brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented {
    /// No token.
    Nothing,
    /// A token, good or bad.
    Token(Digest),
    /// What is no token.
    Malformed,
}

impl Tokens {
    /// Reads the files.
    ///
    /// # Errors
    /// The first file that cannot be used, and why.
    pub fn load(files: Vec<PathBuf>) -> Result<Self, Error> {
        let known = read_all(&files)?;
        Ok(Self {
            files,
            known: ArcSwap::from_pointee(known),
        })
    }

    /// Reads the files again. Those of before stay where one of them cannot be used.
    ///
    /// # Errors
    /// The first file that cannot be used, and why.
    pub fn reload(&self) -> Result<(), Error> {
        self.known.store(read_all(&self.files)?.into());
        Ok(())
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The place, among the files, of the one that the token stands in. How long it takes tells something of digests
    /// alone, and nobody can choose the digest of a token.
    #[must_use]
    pub fn find(&self, token: &Digest) -> Option<usize> {
        self.known.load().get(token).copied()
    }
}

impl Presented {
    /// What the headers bring, as `authorization: Bearer TOKEN`.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Self::Nothing;
        };
        // Of two it is not known which one is meant.
        if values.next().is_some() {
            return Self::Malformed;
        }
        let text = value.to_str().ok();
        match text.and_then(|text| text.trim().split_once(' ')) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) => {
                Self::Token(hash(token.trim()))
            }
            _ => Self::Malformed,
        }
    }
}

fn hash(token: &str) -> Digest {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

fn read_all(files: &[PathBuf]) -> Result<HashMap<Digest, usize>, Error> {
    let mut known = HashMap::new();
    for (place, path) in files.iter().enumerate() {
        let text = files::read_text(path, LONGEST_FILE)?;
        let mut is_empty = true;
        for (line, token) in (1..).zip(text.lines()) {
            let token = token.trim();
            if token.is_empty() || token.starts_with('#') {
                continue;
            }
            let bad = |problem| Error::Line {
                path: path.clone(),
                line,
                problem,
            };
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(bad("a token has visible ASCII characters alone, no blanks"));
            }
            if token.len() < SHORTEST {
                return Err(bad("a token has 16 characters or more"));
            }
            is_empty = false;
            let other = known.insert(hash(token), place);
            if let Some(other) = other.filter(|other| *other != place) {
                return Err(Error::Shared {
                    path: path.clone(),
                    line,
                    other: files[other].clone(),
                });
            }
        }
        if is_empty {
            return Err(Error::Nothing { path: path.clone() });
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0123456789abcdef-one";
    const TWO: &str = "0123456789abcdef-two";

    fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn bearer(text: &str) -> Presented {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, text.parse().unwrap());
        Presented::of(&headers)
    }

    fn found(tokens: &Tokens, token: &str) -> Option<usize> {
        match bearer(&format!("Bearer {token}")) {
            Presented::Token(token) => tokens.find(&token),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_line_is_a_token_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let a = file(&folder, "a", &format!("# old\n{ONE}\n\n  {TWO}\r\n"));
        let b = file(&folder, "b", "0123456789abcdef-three");
        let tokens = Tokens::load(vec![a, b]).unwrap();
        assert_eq!(found(&tokens, ONE), Some(0));
        assert_eq!(found(&tokens, TWO), Some(0));
        assert_eq!(found(&tokens, "0123456789abcdef-three"), Some(1));
        assert_eq!(found(&tokens, "# old"), None);
        assert_eq!(found(&tokens, "0123456789abcdef-on"), None);
    }

    #[test]
    fn a_file_that_went_bad_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "a", ONE);
        let tokens = Tokens::load(vec![path.clone()]).unwrap();
        std::fs::write(&path, "short\n").unwrap();
        assert!(tokens.reload().is_err());
        assert_eq!(found(&tokens, ONE), Some(0));
        std::fs::write(&path, TWO).unwrap();
        tokens.reload().unwrap();
        assert_eq!(found(&tokens, ONE), None);
        assert_eq!(found(&tokens, TWO), Some(0));
    }

    #[test]
    fn what_is_wrong_is_said_and_no_token_shown() {
        let folder = tempfile::tempdir().unwrap();
        let cases = [
            ("\nshort-secret\n", "a:2: a token has 16 characters"),
            ("0123456789abcdef secret", "a:1: a token has visible ASCII"),
            ("0123456789abcdef-secrét", "a:1: a token has visible ASCII"),
            ("# nothing\n\n", "holds no token"),
        ];
        for (text, expected) in cases {
            let path = file(&folder, "a", text);
            let error = Tokens::load(vec![path]).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("secr"), "{error}");
        }
        let (a, b) = (file(&folder, "a", ONE), file(&folder, "b", ONE));
        let error = Tokens::load(vec![a, b]).err().unwrap().to_string();
        assert!(error.contains("b:1: the token stands in"), "{error}");
        let gone = Tokens::load(vec![folder.path().join("gone")])
            .err()
            .unwrap();
        assert!(gone.to_string().contains("cannot read"), "{gone}");
        let path = file(&folder, "a", &"x".repeat(1024 * 1024 + 1));
        let error = Tokens::load(vec![path]).err().unwrap().to_string();
        assert!(error.contains("1 MiB"), "{error}");
    }

    #[test]
    fn what_is_no_bearer_token_is_told_from_none() {
        assert_eq!(Presented::of(&HeaderMap::new()), Presented::Nothing);
        assert_eq!(bearer("bearer x"), bearer("Bearer  x "));
        assert_eq!(bearer("Basic eDp5"), Presented::Malformed);
        assert_eq!(bearer("Bearer"), Presented::Malformed);
        let mut two = HeaderMap::new();
        two.append(AUTHORIZATION, "Bearer x".parse().unwrap());
        two.append(AUTHORIZATION, "Bearer x".parse().unwrap());
        assert_eq!(Presented::of(&two), Presented::Malformed);
    }
}
