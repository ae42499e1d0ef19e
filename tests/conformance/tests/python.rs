//! The Python example as it is, under the program: a handler that knows nothing of the kit.

use std::{path::Path, process::Command};

use exproto_tests::{Process, free_address, process::run, python::environment};

const ECHO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/python/echo");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_example_conforms() {
    let example = Path::new(ECHO);
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-echo");
    let python = environment(&made, &example.join("requirements.txt"));
    let stubs = tempfile::tempdir().unwrap();
    run(Command::new(example.join("generate.sh"))
        .env("PYTHON", &python)
        .arg(stubs.path()));

    let (listen, adapter) = (free_address().to_string(), free_address().to_string());
    let mut echo = Command::new(&python);
    echo.arg(example.join("echo.py"))
        .args(["--listen", &listen, "--adapter", &adapter])
        .env("PYTHONPATH", stubs.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // A proxy that stands in the environment is not for the adapter.
        .env("no_proxy", "127.0.0.1");
    let mut echo = Process::start(&mut echo, "python3-venv");
    echo.errors.sees("serving on").await;

    let mut kit = Command::new(env!("CARGO_BIN_EXE_exproto-conformance"));
    kit.args(["--handler", &listen, "--listen", &adapter]);
    let said = tokio::task::spawn_blocking(move || run(&mut kit))
        .await
        .unwrap();
    assert!(
        said.contains("passed   one-byte-splits") && said.contains(" 0 failed, "),
        "{said}"
    );
}
