//! Trackers that log in, tell where they are and get commands, as the README of the example types it at `nc`.

use std::{net::SocketAddr, process::Output};

use exproto_gateway::{auth::hash::argon2id, shutdown::Drained};
use exproto_tests::{Device, TestGateway, free_address};

use super::{Example, Handler};

/// What the README makes: tokens and users.
struct Setting {
    example: Example,
    gateway: TestGateway,
    handler: Handler,
    fleet: String,
    tracker: String,
}

impl Setting {
    async fn new() -> Self {
        let example = Example::prepare("tracker");
        let tracker = example.file("tracker", "0123456789abcdef-tracker\n");
        let fleet = example.file("fleet", "0123456789abcdef-fleet\n");
        let users = ["truck-1", "truck-2", "dispatcher"]
            .map(|id| format!("{id}:{}\n", argon2id(format!("{id}-secret").as_bytes())));
        let rules = example.folder.join("rules.yaml").display().to_string();
        let files = [
            (
                "EXPROTO_AUTHENTICATION__CHAIN__0__FILE__PATH",
                example.file("users", &users.concat()),
            ),
            ("EXPROTO_AUTHORIZATION__SOURCES__0__FILE__PATH", rules),
            ("EXPROTO_ADAPTER__CALLERS__0__TOKEN_FILE", tracker.clone()),
            ("EXPROTO_ADAPTER__CALLERS__1__TOKEN_FILE", fleet.clone()),
        ];
        let listen = free_address();
        let gateway = TestGateway::with(example.config(listen, &files)).await;
        let with_token = ["--token-file", &tracker];
        let adapter = gateway.adapter_address();
        let mut handler = example.start("tracker.py", listen, adapter, &with_token);
        handler.logs("serving on").await;
        Self {
            example,
            gateway,
            handler,
            fleet,
            tracker,
        }
    }

    async fn device(&self, id: &str) -> Device {
        let mut device = self.gateway.device().await;
        says(&mut device, &format!("LOGIN {id} {id}-secret"), "OK").await;
        device
    }

    /// Runs `fleet.py` to its end.
    async fn fleet(&self, token_file: &str, adapter: SocketAddr, rest: &[&str]) -> Output {
        let mut program = self.example.program("fleet.py");
        program
            .args(["--token-file", token_file])
            .args(["--adapter", &adapter.to_string()])
            .args(rest);
        let ended = tokio::task::spawn_blocking(move || program.output());
        ended.await.unwrap().unwrap()
    }

    /// Sends a command, as a README's reader would.
    async fn command(&self, id: &str, text: &str) {
        let adapter = self.gateway.adapter_address();
        let output = self.fleet(&self.fleet, adapter, &[id, text]).await;
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, format!("published to down/{id}\n"), "{output:?}");
    }
}

/// The device's next line.
async fn reads(device: &mut Device, line: &str) {
    let line = format!("{line}\n");
    let read = device.read(line.len()).await;
    assert_eq!(String::from_utf8_lossy(&read), line);
}

/// A line of the device, and its answer.
async fn says(device: &mut Device, line: &str, answer: &str) {
    device.send(format!("{line}\r\n")).await;
    reads(device, answer).await;
}

#[tokio::test]
async fn a_tracker_logs_in_publishes_and_gets_commands() {
    let mut setting = Setting::new().await;
    let mut dispatcher = setting.device("dispatcher").await;
    says(&mut dispatcher, "WATCH", "OK").await;

    let mut truck = setting.gateway.device().await;
    says(&mut truck, "POS 52.5 13.4 80", "ERR LOGIN first").await;
    let wrong = "ERR bad username or password";
    says(&mut truck, "LOGIN truck-1 wrong", wrong).await;
    says(&mut truck, "LOGIN truck-9 truck-9-secret", wrong).await;
    says(&mut truck, "LOGIN truck-1 truck-1-secret", "OK").await;
    says(&mut truck, "POS 52.5 13.4 80", "OK").await;
    let denied = "ERR not allowed to subscribe to \"up/+/position\"";
    says(&mut truck, "WATCH", denied).await;
    let seen = "SEEN up/truck-1/position {\"lat\": 52.5, \"lon\": 13.4, \"speed\": 80.0}";
    reads(&mut dispatcher, seen).await;

    // A line break in a command is no second line.
    setting.command("truck-1", "slow\ndown").await;
    reads(&mut truck, "CMD slow down").await;
    says(&mut truck, "BYE", "OK").await;
    setting.handler.logs("closed: normal, was truck-1").await;

    assert!(setting.handler.end().await.success());
    assert_eq!(setting.gateway.stop().await, Drained::All);
}

#[tokio::test]
async fn a_command_waits_for_a_tracker_that_is_away() {
    let mut setting = Setting::new().await;
    drop(setting.device("truck-2").await);
    setting.handler.logs("was truck-2").await;
    setting.gateway.is("exproto_sessions", 1).await;
    setting.command("truck-2", "come home").await;
    let mut truck = setting.device("truck-2").await;
    reads(&mut truck, "CMD come home").await;
}

#[tokio::test]
async fn lines_that_make_no_sense_are_answered() {
    let setting = Setting::new().await;
    let mut truck = setting.device("truck-1").await;
    let words = "ERR a line begins with one of LOGIN, POS, WATCH, BYE";
    says(&mut truck, "HELLO", words).await;
    let numbers = "ERR write POS <lat> <lon> <speed>, in numbers";
    says(&mut truck, "POS here", numbers).await;
    let bounds = "ERR lat is from -90 to 90, lon from -180 to 180, speed from 0 to 1000";
    says(&mut truck, "POS nan 13.4 80", bounds).await;
}

#[tokio::test]
async fn the_back_end_says_why_a_command_is_not_sent() {
    let setting = Setting::new().await;
    let adapter = setting.gateway.adapter_address();
    let unknown = setting.example.file("unknown", "0123456789abcdef-nobody\n");
    let nowhere = free_address();
    for (token_file, adapter, id, says) in [
        (
            &*setting.tracker,
            adapter,
            "truck-1",
            "does not have the scope raw",
        ),
        (&unknown, adapter, "truck-1", "not sent: UNAUTHENTICATED: "),
        (
            "nothing-here",
            adapter,
            "truck-1",
            "cannot read nothing-here: ",
        ),
        (
            &setting.fleet,
            nowhere,
            "truck-1",
            "not sent: UNAVAILABLE: ",
        ),
        (&setting.fleet, adapter, "+", "'+' is no tracker's id: "),
    ] {
        let output = setting.fleet(token_file, adapter, &[id, "stop"]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(says), "{said}");
    }
}
