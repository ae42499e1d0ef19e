//! The Python example as its README runs it: its requirements, its script for the stubs, its gateway.yaml. Only the
//! ports are others.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

use config::Config;
use exproto_gateway::shutdown::Drained;
use exproto_tests::{TestGateway, free_address, process::run, python::environment, within};
use tempfile::TempDir;
use tokio::sync::mpsc;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/python/echo");

#[tokio::test]
async fn the_python_example_echoes() {
    let requirements = Path::new(EXAMPLE).join("requirements.txt");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-echo");
    let python = environment(&folder, &requirements);
    let stubs = stubs(&python);
    let listen = free_address();
    let gateway = TestGateway::with(config(listen)).await;
    let mut handler = Handler::start(&python, stubs.path(), listen, gateway.adapter_address());
    handler.logs("serving on").await;

    let mut device = gateway.device().await;
    let connected = format!("connected: 127.0.0.1 port {}", device.address().port());
    device.send("hello\n").await;
    assert_eq!(device.read(6).await, b"hello\n");
    handler.logs(&connected).await;

    let chunks: Vec<_> = (0..100).map(|n| format!("{n}\n").repeat(n)).collect();
    for chunk in &chunks {
        device.send(chunk).await;
    }
    let all = chunks.concat();
    assert_eq!(device.read(all.len()).await, all.as_bytes());

    drop(device);
    let closed = handler.logs(" closed: ").await;
    assert!(closed.ends_with(" closed: tcp_closed"), "{closed}");

    assert!(handler.end().await.success());
    assert_eq!(gateway.stop().await, Drained::All);
}

/// The example's own file, with ports that are free.
fn config(handler: SocketAddr) -> Config {
    let any = || "127.0.0.1:0".to_owned();
    let ports = [
        ("EXPROTO_LISTENERS__0__BIND", any()),
        ("EXPROTO_ADAPTER__BIND", any()),
        ("EXPROTO_HTTP__BIND", any()),
        ("EXPROTO_HANDLER__ADDRESSES__0", format!("http://{handler}")),
    ];
    let ports = ports.map(|(name, value)| (name.to_owned(), value));
    Config::load(&Path::new(EXAMPLE).join("gateway.yaml"), ports).unwrap()
}

/// What the example's script makes, in a folder of the test's own.
fn stubs(python: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut generate = Command::new(Path::new(EXAMPLE).join("generate.sh"));
    run(generate.env("PYTHON", python).arg(folder.path()));
    folder
}

/// The example's process, and what it logs. It is killed with the test.
struct Handler {
    process: Child,
    log: mpsc::Receiver<String>,
}

impl Handler {
    fn start(python: &Path, stubs: &Path, listen: SocketAddr, adapter: SocketAddr) -> Self {
        let mut process = Command::new(python)
            .arg(Path::new(EXAMPLE).join("echo.py"))
            .args(["--listen", &listen.to_string()])
            .args(["--adapter", &adapter.to_string()])
            .env("PYTHONPATH", stubs)
            // A proxy that stands in the environment is not for the adapter.
            .env("no_proxy", "127.0.0.1")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        // Full: the handler waits until the test has read.
        let (to, log) = mpsc::channel(256);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                println!("handler: {line}");
                if to.blocking_send(line).is_err() {
                    break;
                }
            }
        });
        Self { process, log }
    }

    /// Its next line with this text.
    async fn logs(&mut self, text: &str) -> String {
        let next = async {
            while let Some(line) = self.log.recv().await {
                if line.contains(text) {
                    return line;
                }
            }
            panic!("the handler ended, and never logged {text:?}");
        };
        within(text, next).await
    }

    /// Asks it to end, and waits until it has.
    async fn end(&mut self) -> ExitStatus {
        run(Command::new("kill").args(["-TERM", &self.process.id().to_string()]));
        self.logs("ended").await;
        self.process.wait().unwrap()
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        // It has ended already if all went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
