//! Child processes: what they print is kept, an early death is an error that shows it, and none outlives its owner.

use std::{
    env,
    ffi::OsStr,
    fs::File,
    io::{Read as _, Seek as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Error, Result, anyhow};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time,
};

/// How long a child may take until it is ready.
const READY: Duration = Duration::from_secs(20);
/// Between two looks at something that changes by itself.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// A running child, killed when dropped.
pub(crate) struct Process {
    name: &'static str,
    /// For `/proc`.
    pub(crate) pid: u32,
    child: Child,
    /// What the child prints, on either stream.
    output: File,
}

impl Process {
    /// Starts `command`; errors will call it `name`.
    pub(crate) fn spawn(name: &'static str, mut command: Command) -> Result<Self> {
        let output = tempfile::tempfile().context("cannot create a temporary file")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start the {name}: {command:?}"))?;
        let pid = child.id().context("a child just started has a pid")?;
        Ok(Self {
            name,
            pid,
            child,
            output,
        })
    }

    /// Waits until `is_ready` says so.
    pub(crate) async fn ready(&mut self, is_ready: impl AsyncFn() -> bool) -> Result<()> {
        let ready = async {
            while !is_ready().await {
                time::sleep(POLL).await;
            }
        };
        let ready = time::timeout(READY, ready);
        tokio::select! {
            death = self.death() => Err(death),
            in_time = ready => in_time.map_err(|_| {
                anyhow!("the {} is not ready after {READY:?}{}", self.name, self.printed())
            }),
        }
    }

    /// Waits until the child ends by itself, which none should, and says how.
    pub(crate) async fn death(&mut self) -> Error {
        match self.child.wait().await {
            Ok(status) => anyhow!("the {} died: {status}{}", self.name, self.printed()),
            Err(error) => anyhow!(error).context(format!("cannot wait for the {}", self.name)),
        }
    }

    /// Kills the child and waits until it is gone.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.child
            .kill()
            .await
            .with_context(|| format!("cannot kill the {}", self.name))
    }

    /// The end of what the child printed, to be put behind an error.
    fn printed(&self) -> String {
        let mut output = &self.output;
        let mut bytes = Vec::new();
        // Without its output the error is still better than none.
        let _ = output.rewind();
        let _ = output.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(20)..];
        if last.is_empty() {
            return "; it printed nothing".to_owned();
        }
        format!("; it printed:\n{}", last.join("\n"))
    }
}

/// This same program, as one of its hidden subcommands.
pub(crate) fn own<T: AsRef<OsStr>>(subcommand: &str, options: &[(&str, T)]) -> Result<Command> {
    let path = env::current_exe().context("cannot find this program's own executable")?;
    let mut command = Command::new(path);
    command.arg(subcommand);
    for (option, value) in options {
        command.arg(option).arg(value);
    }
    Ok(command)
}

/// Whether something listens there.
pub(crate) async fn is_listening(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_ok()
}

/// As many different addresses as asked for, free at this moment.
pub(crate) fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    let mut taken = Vec::with_capacity(N);
    for address in &mut addresses {
        let listener = TcpListener::bind(*address).context("cannot find a free port")?;
        *address = listener.local_addr()?;
        taken.push(listener);
    }
    Ok(addresses)
}
