//! Authenticate with what users have: an issuer (`PyJWT`), a service of theirs (Python's own HTTP server), Redis.

use std::{path::Path, process::Command, time::SystemTime};

use exproto_tests::{
    Process, TestGateway, TestHandler,
    gateway::{authenticating, config},
    python::environment,
};
use proto::exproto::{ClientInfo, CodeResponse};

use crate::calls::{Calls, connect};

/// Names in certificates.
mod certificates;
/// Files that change, and passwords that are slow.
mod files;
/// What is in no log.
mod secrets;
/// A service over HTTP and HTTPS.
mod services;
/// Tokens of an issuer.
mod tokens;
/// Users in Redis.
mod users_in_redis;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/gateway/authentication");

/// A gateway with a chain, and one device.
struct Setting {
    handler: TestHandler,
    gateway: TestGateway,
    device: exproto_tests::Device,
    calls: Calls,
}

impl Setting {
    async fn new(chain: &str) -> Self {
        Self::with(chain, |_| ()).await
    }

    async fn with(chain: &str, adapt: impl FnOnce(&mut config::Config)) -> Self {
        let handler = TestHandler::start();
        let mut config = authenticating(config(&[&handler]), chain);
        adapt(&mut config);
        let gateway = TestGateway::with(config).await;
        let (device, calls) = connect(&gateway, &handler).await;
        Self {
            handler,
            gateway,
            device,
            calls,
        }
    }

    /// Authenticate of another device, which goes again.
    async fn ask(&self, clientid: &str, username: &str, password: &str) -> CodeResponse {
        let (device, mut calls) = connect(&self.gateway, &self.handler).await;
        let answer = authenticate(&mut calls, clientid, username, password).await;
        drop(device);
        self.handler.closed().await;
        answer
    }
}

async fn authenticate(
    calls: &mut Calls,
    clientid: &str,
    username: &str,
    password: &str,
) -> CodeResponse {
    let info = ClientInfo {
        clientid: clientid.to_owned(),
        username: username.to_owned(),
        ..ClientInfo::default()
    };
    calls.authenticate_as(Some(info), password).await
}

/// A program of this folder.
fn python(script: &str, arguments: &[String]) -> Process {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-authentication");
    let python = environment(&folder, &Path::new(HERE).join("requirements.txt"));
    let mut command = Command::new(python);
    command.arg(Path::new(HERE).join(script)).args(arguments);
    Process::start(&mut command, "python3")
}

/// Where it serves, as its first line says.
async fn served(process: &mut Process) -> String {
    let line = process.output.line("serving ").await;
    line.trim_start_matches("serving ").to_owned()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}
