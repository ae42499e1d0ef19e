//! The management API, over plain sockets and by `curl`.

use std::{fs, net::SocketAddr};

use config::Config;
use exproto_tests::{TestGateway, TestHandler, gateway::config, within};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Who may ask.
mod access;
/// Clients and connections.
mod clients;
/// Bans.
mod bans;
/// More than one pod.
mod pods;
/// What is wrong with a request, and what takes too long.
mod bounds;

const TOKEN: &str = "0123456789abcdef-management";

/// A gateway with the API, and its token in a file.
struct Managed {
    handler: TestHandler,
    gateway: TestGateway,
    folder: TempDir,
}

impl Managed {
    async fn start() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(adapt: impl FnOnce(&mut Config)) -> Self {
        let handler = TestHandler::start();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, TOKEN).unwrap();
        let mut config = config(&[&handler]);
        config.management.token_file = Some(file);
        adapt(&mut config);
        Self {
            gateway: TestGateway::with(config).await,
            handler,
            folder,
        }
    }

    fn address(&self) -> SocketAddr {
        self.gateway.management_address().unwrap()
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        ask(self.address(), method, path, Some(TOKEN), body).await
    }

    async fn get(&self, path: &str) -> Value {
        let (status, value) = self.ask("GET", path, "").await;
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    /// Asks for what is not done, and tells why: the status, the code, and the message.
    async fn wrong(&self, method: &str, path: &str, body: &str) -> (u16, String, String) {
        let (status, value) = self.ask(method, path, body).await;
        let text = |name: &str| value["error"][name].as_str().unwrap().to_owned();
        (status, text("code"), text("message"))
    }

    /// All entries of a list, page by page.
    async fn all(&self, what: &str, query: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.get(&format!("/api/v1/{what}?{query}{after}")).await;
            all.extend(page[what].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return all,
            }
        }
    }
}

/// One request over a connection of its own: the status, and the body as JSON.
async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &str,
) -> (u16, Value) {
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n"));
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\n{}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        token.unwrap_or_default(),
        body.len()
    );
    let answer = within("an answer", async {
        let mut socket = TcpStream::connect(address).await.unwrap();
        // It may be answered before all of it was read.
        let _ = socket.write_all(request.as_bytes()).await;
        read(&mut socket).await
    });
    let answer = answer.await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a response");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).expect(body))
}

/// All that comes until the other side closes or resets.
async fn read(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}
