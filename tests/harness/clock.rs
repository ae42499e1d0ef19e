//! A clock of a test's own, for the programs that are started by it: their time of day jumps when the test says so, and
//! what they measure as time that has passed does not. By libfaketime, of the Debian package `faketime`.

use std::{fs, path::PathBuf, process::Command};

use tempfile::TempDir;

/// The clock. It must outlive the programs that are started by it.
pub struct Clock {
    folder: TempDir,
    library: PathBuf,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// One that is right.
    ///
    /// # Panics
    /// When the package is not installed.
    #[must_use]
    pub fn new() -> Self {
        let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let libraries = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
        let library = libraries.into_iter().find(|library| library.exists());
        let library = library.expect("libfaketime is in the Debian package faketime");
        let clock = Self {
            folder: tempfile::tempdir().expect("a folder"),
            library,
        };
        clock.jump("+0");
        clock
    }

    /// It is wrong by so much from now on, such as `+1h` or `-90s`.
    ///
    /// # Panics
    /// When there is no place for that.
    pub fn jump(&self, by: &str) {
        let next = self.folder.path().join("next");
        fs::write(&next, by).expect("a file");
        // A program that looks at it sees all of it.
        fs::rename(next, self.file()).expect("a file");
    }

    /// Has a program go by it.
    pub fn rule(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", self.file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("time")
    }
}
