//! Chains as a configuration has them, asked with credentials.

use std::{fs, net::SocketAddr, path::Path};

use config::Config;
use tempfile::TempDir;

use super::*;
use crate::{
    metrics::Metrics,
    transport::{PeerCertificate, Transport},
};

/// Certificates.
mod certificates;
/// Tokens.
mod tokens;
/// Files of users.
mod users;

fn load(chain: &str) -> Result<Authentication, String> {
    let config = parse(chain);
    Authentication::load(&config, Metrics::new())
        .map_err(|error| format!("{:#}", anyhow::Error::from(error)))
}

/// A chain that must be good.
fn chain(text: &str) -> Authentication {
    load(text).unwrap()
}

fn parse(chain: &str) -> Config {
    Config::parse(&format!("authentication: {{chain: [{chain}]}}"), "test").unwrap()
}

fn credentials(clientid: &str, username: &str, password: &str) -> Credentials {
    let device: SocketAddr = "192.0.2.7:50000".parse().unwrap();
    let local: SocketAddr = "192.0.2.1:7993".parse().unwrap();
    Credentials {
        clientid: clientid.to_owned(),
        username: username.to_owned(),
        password: Password::new(password.to_owned()),
        proto_name: String::new(),
        proto_ver: String::new(),
        conninfo: ConnInfo::new(Transport::Tcp, device, local),
        listener: "tcp".to_owned(),
    }
}

/// What the chain says: the grant, or the text of the refusal.
async fn ask(
    authentication: &Authentication,
    clientid: &str,
    username: &str,
    password: &str,
) -> Result<Grant, String> {
    let credentials = credentials(clientid, username, password);
    let outcome = authentication.authenticate(&credentials).await;
    outcome.map_err(|refused| refused.to_string())
}

fn file(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    shown(&path)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn a_password_is_not_shown() {
    let credentials = credentials("a", "b", "hunter2");
    assert_eq!(credentials.password.reveal(), "hunter2");
    assert!(!format!("{credentials:?}").contains("hunter2"));
}

#[tokio::test]
async fn without_a_chain_everybody_is_let_in() {
    assert_eq!(ask(&chain(""), "a", "", "").await, Ok(Grant::default()));
}

#[tokio::test]
async fn whom_nobody_knows_is_denied_unless_the_last_one_lets_in_everybody() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "users", "");
    let strict = chain(&format!("{{file: {{path: {path}}}}}"));
    assert_eq!(
        ask(&strict, "a", "b", "c").await,
        Err(BAD_PASSWORD.to_owned())
    );
    let open = chain(&format!("{{file: {{path: {path}}}}}, {{anonymous: {{}}}}"));
    assert_eq!(ask(&open, "a", "b", "c").await, Ok(Grant::default()));
}

#[tokio::test]
async fn an_address_that_was_denied_too_often_is_not_looked_at_until_its_rate_allows() {
    let folder = TempDir::new().unwrap();
    let path = file(
        &folder,
        "users",
        format!("b:{}\n", hash::argon2id(b"right")),
    );
    let text =
        format!("authentication: {{failure_rate: 2/1h, chain: [{{file: {{path: {path}}}}}]}}");
    let config = Config::parse(&text, "test").unwrap();
    let authentication = Authentication::load(&config, Metrics::new()).unwrap();
    // Who is right does not count.
    assert!(ask(&authentication, "a", "b", "right").await.is_ok());
    for _ in 0..2 {
        let denied = ask(&authentication, "a", "b", "wrong").await;
        assert_eq!(denied, Err(BAD_PASSWORD.to_owned()));
    }
    let denied = ask(&authentication, "a", "b", "right").await.unwrap_err();
    assert!(denied.contains("failure_rate"), "{denied}");
    let mut elsewhere = credentials("a", "b", "right");
    elsewhere.conninfo.device = "192.0.2.8:1".parse().unwrap();
    assert!(authentication.authenticate(&elsewhere).await.is_ok());
    // Over UDP anybody could lock others out.
    let mut udp = credentials("a", "b", "right");
    udp.conninfo.transport = Transport::Udp;
    assert!(authentication.authenticate(&udp).await.is_ok());
}

#[tokio::test]
async fn a_listener_has_its_own_chain_or_the_gateways() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "users", "");
    let text = format!(
        "listeners: [{{name: tcp, bind: 7993}}, {{name: open, bind: 7994, authentication_chain: []}}]\n\
         authentication: {{chain: [{{file: {{path: {path}}}}}]}}"
    );
    let config = Config::parse(&text, "test").unwrap();
    let authentication = Authentication::load(&config, Metrics::new()).unwrap();
    assert!(ask(&authentication, "a", "b", "").await.is_err());
    let mut open = credentials("a", "b", "");
    open.listener = "open".to_owned();
    assert!(authentication.authenticate(&open).await.is_ok());
}

#[tokio::test]
async fn a_configuration_with_a_bad_file_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let path = file(
        &folder,
        "users",
        format!("b:{}\n", hash::argon2id(b"right")),
    );
    let authentication = chain(&format!("{{file: {{path: {path}}}}}"));
    let missing = parse("{file: {path: /nowhere/users}}");
    let error = authentication.prepare(&missing).map(drop).unwrap_err();
    assert!(error.to_string().contains("/nowhere/users"), "{error}");
    assert!(ask(&authentication, "a", "b", "right").await.is_ok());
    let open = authentication.prepare(&parse("")).unwrap();
    authentication.apply(open);
    assert!(ask(&authentication, "a", "b", "wrong").await.is_ok());
}
