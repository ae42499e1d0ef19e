//! The gateway as a stranger sees it: an executable, a configuration file, and `/readyz`.

use std::{
    env,
    ffi::OsStr,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
};

use crate::{grpc, handler::Service, process::Process};

/// Where one gateway listens for all but devices, and where its handler does.
pub(crate) struct Addresses {
    /// Of the handler.
    pub(crate) handler: SocketAddr,
    /// The adapter service.
    pub(crate) adapter: SocketAddr,
    /// Health.
    pub(crate) http: SocketAddr,
}

/// The configuration file. JSON is YAML.
pub(crate) fn config(addresses: &Addresses, service: Service, listeners: &[Value]) -> Value {
    let Addresses {
        handler,
        adapter,
        http,
    } = addresses;
    json!({
        "listeners": listeners,
        "limits": { "max_connections": 1_000_000 },
        "handler": {
            "service": service.configured(),
            "addresses": [format!("http://{handler}")],
            "connections_per_endpoint": grpc::CHANNELS,
        },
        "adapter": { "bind": adapter },
        "http": { "bind": http },
        "log": { "level": "warn" },
    })
}

/// Starts the executable with this configuration, written into `folder`, and waits until it is ready.
pub(crate) async fn start(
    executable: &Path,
    folder: &Path,
    config: &Value,
    http: SocketAddr,
) -> Result<Process> {
    let path = folder.join("gateway.yaml");
    fs::write(&path, config.to_string())
        .with_context(|| format!("cannot write {}", path.display()))?;
    let mut command = Command::new(executable);
    command.args([OsStr::new("run"), OsStr::new("--config"), path.as_os_str()]);
    let mut process = Process::spawn("gateway", command)?;
    process.ready(async || is_ready(http).await).await?;
    Ok(process)
}

/// Whether `/readyz` answers 200.
async fn is_ready(http: SocketAddr) -> bool {
    answers(http, b"HTTP/1.1 200").await
}

/// Whether `/readyz` answers anything: one without handlers is never ready, but its listeners are.
pub(crate) async fn is_serving(http: SocketAddr) -> bool {
    answers(http, b"HTTP/1.1 ").await
}

async fn answers(http: SocketAddr, begin: &[u8]) -> bool {
    let answer = async {
        let mut socket = TcpStream::connect(http).await?;
        let request = format!("GET /readyz HTTP/1.1\r\nhost: {http}\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    answer.await.is_ok_and(|answer| answer.starts_with(begin))
}

/// The executable given, or one built now from the tree that this program was built from.
pub(crate) async fn executable(given: Option<&Path>) -> Result<PathBuf> {
    match given {
        Some(path) => {
            ensure!(path.is_file(), "--gateway: no file at {}", path.display());
            Ok(path.to_owned())
        }
        None => build().await,
    }
}

async fn build() -> Result<PathBuf> {
    eprintln!("building the gateway (--gateway PATH takes one that is built already)");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--release", "-p", "exproto-gateway"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(workspace)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    // What cargo says of this package would make build scripts of others run again.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    if let Some(target) = target_dir() {
        command.arg("--target-dir").arg(target);
    }
    let output = command.output().await.context("cannot run cargo")?;
    ensure!(
        output.status.success(),
        "cannot build the gateway: cargo ended with {}",
        output.status
    );
    let messages = String::from_utf8_lossy(&output.stdout);
    find_executable(&messages).context("cargo built no executable named exproto-gateway")
}

/// Where this program was built, so that what both need is compiled once.
fn target_dir() -> Option<PathBuf> {
    let own = env::current_exe().ok()?;
    let target = own.parent()?.parent()?;
    // Cargo puts this file into each target folder; elsewhere this program was only copied.
    let is_target = target.join("CACHEDIR.TAG").exists();
    is_target.then(|| target.to_owned())
}

/// Cargo prints one JSON object per line for each thing it built.
fn find_executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "exproto-gateway")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_between_libraries_and_other_lines() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"exproto_gateway"},"executable":null}
{"reason":"build-script-executed","package_id":"ring"}
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"exproto-gateway"},"executable":"/t/exproto-gateway"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(
            find_executable(messages),
            Some(PathBuf::from("/t/exproto-gateway"))
        );
    }
}
