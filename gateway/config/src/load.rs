//! From a file and the environment to a [`Config`]: written text, a tree of it, types, rules.

use std::{fs, path::Path};

use crate::{Config, Error, check::check, overlay, read::read, tree};

impl Config {
    /// Reads a YAML file and lays the environment over it.
    pub fn load(
        path: &Path,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.into(),
            source,
        })?;
        Self::parse_with(&text, &path.display().to_string(), env)
    }

    /// Reads YAML text. Problems are reported as being in `origin`.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Error> {
        Self::parse_with(text, origin, [])
    }

    /// Reads YAML text and lays the environment over it. An empty text leaves the defaults.
    pub fn parse_with(
        text: &str,
        origin: &str,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let mut root = tree::parse(text, origin)?;
        overlay::apply(&mut root, env)?;
        let mut config: Self = read(&root)?;
        config.handler.settle(root.has("handler.addresses"));
        let problems = check(&config, &root);
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(Error::Invalid { problems })
        }
    }
}

#[cfg(test)]
mod tests;
