//! The Python examples as their READMEs run them: their requirements, their script for the stubs, their gateway.yaml.
//! Only the ports are others, and where files are.

/// The back end.
mod backend;
/// The one with logins, rules and commands.
mod tracker;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

use config::Config;
use exproto_gateway::shutdown::Drained;
use exproto_tests::{TestGateway, free_address, process::run, python::environment, within};
use tempfile::TempDir;
use tokio::sync::mpsc;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/python");

#[tokio::test]
async fn the_python_example_echoes() {
    let example = Example::prepare("echo");
    let listen = free_address();
    let gateway = TestGateway::with(example.config(listen, &[])).await;
    let mut handler = example.start("echo.py", listen, gateway.adapter_address(), &[]);
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

#[tokio::test]
async fn the_python_example_echoes_for_a_gateway_that_wants_a_token() {
    let example = Example::prepare("echo");
    let token = example.file("token", "# of the echo\n0123456789abcdef\n");
    let listen = free_address();
    let mut config = example.config(listen, &[]);
    let text = format!("adapter: {{callers: [{{name: echo, token_file: \"{token}\"}}]}}");
    config.adapter.callers = Config::parse(&text, "test").unwrap().adapter.callers;
    let gateway = TestGateway::with(config).await;
    let with_token = ["--token-file", &token];
    let mut handler = example.start("echo.py", listen, gateway.adapter_address(), &with_token);
    handler.logs("serving on").await;

    let mut device = gateway.device().await;
    device.send("hello\n").await;
    assert_eq!(device.read(6).await, b"hello\n");
}

/// An example, and a folder for what its README has its reader make.
struct Example {
    folder: PathBuf,
    python: PathBuf,
    made: TempDir,
}

impl Example {
    /// Its environment, and its stubs in a folder of the test's own.
    fn prepare(name: &str) -> Self {
        let folder = Path::new(EXAMPLES).join(name);
        let environments = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{name}"));
        let python = environment(&environments, &folder.join("requirements.txt"));
        let made = tempfile::tempdir().unwrap();
        let mut generate = Command::new(folder.join("generate.sh"));
        run(generate.env("PYTHON", &python).arg(made.path()));
        Self {
            folder,
            python,
            made,
        }
    }

    /// Writes a file that is not part of the example, and tells where it is.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.made.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Its own file, with ports that are free, and these variables.
    fn config(&self, handler: SocketAddr, more: &[(&str, String)]) -> Config {
        let any = || "127.0.0.1:0".to_owned();
        let ports = [
            ("EXPROTO_LISTENERS__0__BIND", any()),
            ("EXPROTO_ADAPTER__BIND", any()),
            ("EXPROTO_HTTP__BIND", any()),
            ("EXPROTO_HANDLER__ADDRESSES__0", format!("http://{handler}")),
        ];
        let all = ports.iter().chain(more);
        let all = all.map(|(name, value)| ((*name).to_owned(), value.clone()));
        Config::load(&self.folder.join("gateway.yaml"), all).unwrap()
    }

    /// One of its programs.
    fn program(&self, script: &str) -> Command {
        let mut program = Command::new(&self.python);
        program
            .arg(self.folder.join(script))
            .env("PYTHONPATH", self.made.path())
            // Nothing is to be left beside the example.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // A proxy that stands in the environment is not for the adapter.
            .env("no_proxy", "127.0.0.1");
        program
    }

    /// Its handler.
    fn start(
        &self,
        script: &str,
        listen: SocketAddr,
        adapter: SocketAddr,
        more: &[&str],
    ) -> Handler {
        let mut program = self.program(script);
        program
            .args(["--listen", &listen.to_string()])
            .args(["--adapter", &adapter.to_string()])
            .args(more);
        Handler::start(&mut program)
    }
}

/// The example's process, and what it logs. It is killed with the test.
struct Handler {
    process: Child,
    log: mpsc::Receiver<String>,
}

impl Handler {
    fn start(program: &mut Command) -> Self {
        let mut process = program.stderr(Stdio::piped()).spawn().unwrap();
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
