//! The program as its user starts it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
};

use exproto_tests::{DEADLINE, free_address, program};

/// A program that is killed with the test.
struct Running {
    process: Child,
    log: BufReader<ChildStderr>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(program::gateway());
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        Self { process, log }
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// The first line of its log that holds `text`.
    fn logs(&mut self, text: &str) -> String {
        let mut lines = self.log.by_ref().lines().map(Result::unwrap);
        lines
            .find(|line| line.contains(text))
            .unwrap_or_else(|| panic!("no log holds {text}"))
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(program::gateway())
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn write(directory: &Path, content: &str) -> String {
    let path = directory.join("gateway.yaml");
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_printed_configuration_is_a_good_one() {
    let directory = tempfile::tempdir().unwrap();
    let printed = run(&["config"]);
    assert!(printed.status.success());
    let file = write(directory.path(), &text(&printed.stdout));
    let checked = run(&["check", "--config", &file]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    assert!(text(&checked.stdout).contains("ok"));
}

#[test]
fn a_broken_configuration_names_file_line_and_field() {
    let directory = tempfile::tempdir().unwrap();
    let file = write(
        directory.path(),
        "adapter:\n  bind: 127.0.0.1:9100\n  bindd: x\n",
    );
    for command in ["check", "run"] {
        let output = run(&[command, "--config", &file]);
        assert_eq!(output.status.code(), Some(2));
        let said = text(&output.stderr);
        assert!(said.contains(&format!("{file}:3")), "{said}");
        assert!(
            said.contains("bindd") && said.contains("did you mean bind?"),
            "{said}"
        );
    }
}

#[test]
fn check_reads_the_files_that_are_named_unless_told_not_to() {
    let directory = tempfile::tempdir().unwrap();
    let content = "cluster: {key_file: /no/such/key}\n\
        listeners:\n\
        - {name: one, bind: 7001, transport: tls, tls: {certificates: [{chain: /no/such.crt, key: /no/such.key}]}}\n\
        - {name: two, bind: 7002, transport: dtls, psk: {file: /no/such/psk}}\n";
    let file = write(directory.path(), content);
    let checked = run(&["check", "--config", &file]);
    assert_eq!(checked.status.code(), Some(2));
    let said = text(&checked.stderr);
    for part in [
        "/no/such/key",
        "listener \"one\": cannot read /no/such.crt",
        "listener \"two\": cannot read /no/such/psk",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let checked = run(&["check", "--no-files", "--config", &file]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
}

#[test]
fn a_missing_file_is_named() {
    let output = run(&["run", "--config", "/no/such/gateway.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("/no/such/gateway.yaml"));
}

#[test]
fn a_taken_port_is_named_with_its_setting() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let content = format!(
        "listeners:\n- name: trucks\n  bind: {address}\nadapter: {{bind: \"127.0.0.1:0\"}}\nhttp: {{bind: \"127.0.0.1:0\"}}\n"
    );
    let output = run(&["run", "--config", &write(directory.path(), &content)]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("listener \"trucks\"") && said.contains(&address.to_string()),
        "{said}"
    );
}

/// A gateway without a handler, whose log says where it serves.
fn gateway(directory: &Path) -> (Running, SocketAddr) {
    let device = free_address();
    let content = format!(
        "listeners: [{{name: tcp, bind: \"{device}\"}}]\nadapter: {{bind: \"127.0.0.1:0\"}}\n\
         http: {{bind: \"127.0.0.1:0\"}}\nhandler: {{addresses: [\"127.0.0.1:1\"]}}\n"
    );
    let mut running = Running::start(&["run", "--config", &write(directory, &content)]);
    let line = running.logs("serving");
    assert!(
        line.starts_with('{'),
        "JSON where there is no terminal: {line}"
    );
    (running, device)
}

#[test]
fn sigterm_drains_and_ends_with_0() {
    let directory = tempfile::tempdir().unwrap();
    let (mut running, _) = gateway(directory.path());
    running.signal("-TERM");
    running.logs("drained");
    assert_eq!(running.process.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (mut running, device) = gateway(directory.path());
    // Its bytes wait for a handler that never comes, so the drain would last.
    let mut parked = TcpStream::connect(device).unwrap();
    parked.write_all(b"x").unwrap();
    running.signal("-TERM");
    running.logs("draining");
    running.signal("-INT");
    assert_eq!(running.process.wait().unwrap().code(), Some(130));
}

/// Somebody at a terminal.
struct Dialogue(BufReader<TcpStream>);

impl Dialogue {
    fn start(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(BufReader::new(socket))
    }

    fn says(&mut self, line: &str) -> &mut Self {
        self.0
            .get_mut()
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
        self
    }

    fn sees(&mut self, line: &str) -> &mut Self {
        let mut seen = String::new();
        self.0.read_line(&mut seen).unwrap();
        assert_eq!(seen.trim_end(), line);
        self
    }
}

#[test]
fn the_demo_holds_its_dialogue() {
    let [device, adapter, handler, http] = [(); 4].map(|()| free_address());
    let mut running = Running::start(&[
        "demo",
        "--device",
        &device.to_string(),
        "--adapter",
        &adapter.to_string(),
        "--handler",
        &handler.to_string(),
        "--http",
        &http.to_string(),
    ]);
    let banner = BufReader::new(running.process.stdout.as_mut().unwrap());
    let hint = format!("nc {} {}", device.ip(), device.port());
    assert!(banner.lines().any(|line| line.unwrap().contains(&hint)));

    let mut truck = Dialogue::start(device);
    truck.says("name truck-1").sees("+ok");
    truck.says("sub room/1").sees("+ok");
    let mut other = Dialogue::start(device);
    truck
        .says("name truck-9")
        .sees("-err you have a name; quit and connect again to take another");
    other
        .says("pub room/1 too early")
        .sees("-err say who you are first: name <name>");
    other.says("name truck-2").sees("+ok");
    other.says("pub room/1 hello there").sees("+ok");
    truck.sees("room/1 truck-2: hello there");
    truck
        .says("pub room/1 hi")
        .sees("+ok")
        .sees("room/1 truck-1: hi");
    truck.says("unsub room/1").sees("+ok");
    other.says("pub room/1 anybody?").sees("+ok");
    truck.says("what").sees(
        "-err say one of: name <name>, sub <filter>, unsub <filter>, pub <topic> <text>, quit",
    );
    for dialogue in [&mut truck, &mut other] {
        dialogue.says("quit");
        let mut rest = String::new();
        dialogue.0.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
    }
    running.signal("-INT");
    assert_eq!(running.process.wait().unwrap().code(), Some(0));
}
