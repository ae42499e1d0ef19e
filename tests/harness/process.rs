//! A program that runs beside the test, and is killed with it: what it is told, and what it says.

use std::{
    fs,
    io::{ErrorKind, Read, Write as _},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
};

use tokio::sync::mpsc;

use crate::{DEADLINE, until};

/// More pieces of output than a program leaves unread in any test. A program that says more has to wait.
const UNREAD: usize = 10_000;

/// A running program.
pub struct Process {
    child: Child,
    name: String,
    input: Option<ChildStdin>,
    /// What it says on standard output.
    pub output: Transcript,
    /// What it says on standard error.
    pub errors: Transcript,
}

/// What a program has said in one place, of which the test has seen the beginning.
pub struct Transcript {
    name: String,
    more: mpsc::Receiver<Vec<u8>>,
    text: String,
    seen: usize,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already where the test waited for that.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            for transcript in [&mut self.output, &mut self.errors] {
                transcript.show();
            }
        }
    }
}

impl Process {
    /// Starts it. `package` is the Debian package that has it.
    ///
    /// # Panics
    /// When it is not installed.
    #[must_use]
    pub fn start(command: &mut Command, package: &str) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let started = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = started.unwrap_or_else(|error| match error.kind() {
            ErrorKind::NotFound => {
                panic!("{name} is not installed; it is in the Debian package {package}")
            }
            _ => panic!("cannot start {name}: {error}"),
        });
        let output = child.stdout.take().expect("a pipe");
        let errors = child.stderr.take().expect("a pipe");
        Self {
            input: child.stdin.take(),
            output: Transcript::of(output, format!("{name}, standard output")),
            errors: Transcript::of(errors, format!("{name}, standard error")),
            name,
            child,
        }
    }

    /// Types it in.
    ///
    /// # Panics
    /// When the program reads no more.
    pub fn say(&mut self, text: impl AsRef<[u8]>) {
        let input = self.input.as_mut().expect("an open input");
        let written = input.write_all(text.as_ref());
        written.unwrap_or_else(|error| panic!("{} reads no more: {error}", self.name));
    }

    /// Ends its input.
    pub fn finish(&mut self) {
        self.input = None;
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When it does not.
    pub async fn ended(&mut self) -> ExitStatus {
        let (what, child) = (format!("the end of {}", self.name), &mut self.child);
        let mut status = None;
        until(&what, async || {
            status = child.try_wait().expect("a child of ours");
            status.is_some()
        })
        .await;
        status.expect("it has ended")
    }

    /// Its number, for `/proc`.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory, in KiB.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("a running child");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("VmRSS in KiB")
    }

    /// Sends a signal, such as `-HUP`.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(sent.expect("kill runs").success(), "{} is gone", self.name);
    }
}

/// Runs a program to the end, which must be a good one, and tells what it printed.
///
/// # Panics
/// When it cannot be started, or fails.
pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    let status = output.status;
    assert!(
        status.success(),
        "{command:?}: {status}\n{printed}{complaints}"
    );
    printed
}

impl Transcript {
    fn of(mut from: impl Read + Send + 'static, name: String) -> Self {
        let (sender, more) = mpsc::channel(UNREAD);
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut chunk) {
                if sender.blocking_send(chunk[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            name,
            more,
            text: String::new(),
            seen: 0,
        }
    }

    /// Waits until `text` has come, after all that was seen before.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn sees(&mut self, text: &str) {
        loop {
            if let Some(start) = self.text[self.seen..].find(text) {
                self.seen += start + text.len();
                return;
            }
            assert!(
                self.read().await,
                "{}: no {text:?} in {}",
                self.name,
                self.text
            );
        }
    }

    /// Like `sees`, and tells the whole line in which it has come.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn line(&mut self, text: &str) -> String {
        self.sees(text).await;
        let start = self.text[..self.seen].rfind('\n').map_or(0, |end| end + 1);
        self.sees("\n").await;
        self.text[start..self.seen].trim_end().to_owned()
    }

    /// Waits until the program has closed it, and tells all that it said there.
    pub async fn all(&mut self) -> &str {
        while self.read().await {}
        self.seen = self.text.len();
        &self.text
    }

    /// Shows all that has come, for whoever looks for a failure.
    fn show(&mut self) {
        while let Ok(more) = self.more.try_recv() {
            self.text.push_str(&String::from_utf8_lossy(&more));
        }
        println!("--- {}:\n{}", self.name, self.text);
    }

    /// Whether there was more to read.
    async fn read(&mut self) -> bool {
        let more = tokio::time::timeout(DEADLINE, self.more.recv()).await;
        let more = more.unwrap_or_else(|_| {
            panic!("{}: waited in vain after {:?}", self.name, self.text);
        });
        if let Some(more) = &more {
            self.text.push_str(&String::from_utf8_lossy(more));
        }
        more.is_some()
    }
}
