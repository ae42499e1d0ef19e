//! The gateway's program, built when first asked for.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
};

/// The path of `exproto-gateway`, built with the profile of the tests. Cargo builds no other package's program for a
/// test, so this does.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn gateway() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build
            // All of it, as `cargo test --workspace` does: a part alone would need other features of what both use,
            // and so all of that once more.
            .args(["build", "--workspace", "--all-targets"])
            .args(["--message-format", "json"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::inherit());
        // What cargo says of the test's own package would make build scripts of others run again.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                build.env_remove(name);
            }
        }
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let output = build.output().expect("cargo runs");
        assert!(output.status.success(), "the gateway does not build");
        let messages = String::from_utf8_lossy(&output.stdout);
        messages
            .lines()
            .filter_map(|line| line.split_once("\"executable\":\"")?.1.split_once('"'))
            .filter(|(path, _)| path.ends_with("/exproto-gateway"))
            .map(|(path, _)| PathBuf::from(path))
            .next_back()
            .expect("cargo names the program")
    })
}
