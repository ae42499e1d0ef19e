//! A virtual environment of Python, with packages of the Python package index.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use crate::process::run;

/// The interpreter of an environment with these requirements, in a folder of its own. It is kept there until they or
/// Python change.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn environment(folder: &Path, requirements: &Path) -> PathBuf {
    let found = Command::new("python3").arg("--version").output();
    let found = found.expect("python3 is not installed; it is in the Debian package python3-venv");
    let version = String::from_utf8_lossy(&found.stdout).into_owned();
    let wanted = fs::read_to_string(requirements).expect("the requirements");
    let stamp = version + &wanted;

    fs::create_dir_all(folder).expect("a folder");
    // Two runs of the tests must not both make it. Unlocked when dropped.
    let lock = File::create(folder.join("lock")).expect("a file");
    lock.lock().expect("a lock");
    let (environment, stamp_file) = (folder.join("venv"), folder.join("stamp"));
    let python = environment.join("bin/python");
    if fs::read_to_string(&stamp_file).is_ok_and(|made| made == stamp) {
        return python;
    }
    let mut make = Command::new("python3");
    run(make.args(["-m", "venv", "--clear"]).arg(environment));
    let mut install = Command::new(&python);
    run(install
        .args(["-m", "pip", "install", "-r"])
        .arg(requirements));
    fs::write(stamp_file, stamp).expect("a file");
    python
}
