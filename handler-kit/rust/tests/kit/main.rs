//! The kit against a pod that speaks the ordered stream by hand, over loopback.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod attach;
mod end;
mod hello;
mod pod;
mod steps;

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use exproto_handler::{Bytes, Conn, Error, Handler, Outcome, ServeError, Server};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

/// What does not come by then does not come.
const DEADLINE: Duration = Duration::from_secs(20);

async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    timeout(DEADLINE, event)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come"))
}

type Act = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What the objects of a test do on a word: `open`, `close`, or what the device has sent.
type Script = Arc<dyn Fn(Conn, String) -> Act + Send + Sync>;

/// What a callback was called with, or what it says.
#[derive(Clone)]
struct Log(mpsc::Sender<String>);

impl Log {
    fn say(&self, text: impl Into<String>) {
        self.0.try_send(text.into()).expect("the log has room");
    }
}

struct Scripted {
    script: Script,
    log: Log,
}

impl Scripted {
    fn act(&self, conn: &Conn, word: &str) -> Act {
        self.log.say(word);
        (self.script)(conn.clone(), word.to_owned())
    }
}

impl Handler for Scripted {
    async fn on_open(&mut self, conn: &Conn) -> Outcome {
        self.act(conn, "open").await
    }

    async fn on_bytes(&mut self, conn: &Conn, bytes: Bytes) -> Outcome {
        let word = String::from_utf8(bytes.to_vec())?;
        self.act(conn, &word).await
    }

    async fn on_close(&mut self, conn: &Conn, reason: &str) -> Outcome {
        self.log.say(reason);
        self.act(conn, "close").await
    }
}

/// A handler that serves.
struct Kit {
    address: SocketAddr,
    heard: mpsc::Receiver<String>,
    end: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Kit {
    async fn serve<F>(script: impl Fn(Conn, String, Log) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        Self::serve_as(|server| server, script).await
    }

    async fn serve_as<F>(
        with: impl FnOnce(Server<Accept>) -> Server<Accept>,
        script: impl Fn(Conn, String, Log) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (log, heard) = mpsc::channel(1000);
        let log = Log(log);
        let said = log.clone();
        let script: Script = Arc::new(move |conn, word| Box::pin(script(conn, word, said.clone())));
        let accept: Accept = Box::new(move |conn| {
            assert_ne!(conn.id(), "conn-13", "a test wants this");
            let (script, log) = (script.clone(), log.clone());
            Scripted { script, log }
        });
        let (end, ends) = oneshot::channel();
        let kit = with(Server::new(accept));
        let served = tokio::spawn(kit.serve_on(socket, async {
            let _ = ends.await;
        }));
        Self {
            address,
            heard,
            end: Some(end),
            served,
        }
    }

    /// The next word of the log is this.
    async fn says(&mut self, word: &str) {
        let said = soon(word, self.heard.recv()).await;
        assert_eq!(said.as_deref(), Some(word));
    }

    /// What else was said until now.
    fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }
}

type Accept = Box<dyn Fn(&Conn) -> Scripted + Send + Sync>;

/// What became of a command, for the log.
fn told<T>(outcome: &Result<T, Error>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(Error::Gone) => "gone",
        Err(Error::TooLarge { .. }) => "too large",
        Err(_) => "another error",
    }
}
