//! One connection: its object, and the callbacks that wait for it.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use proto::exproto::Message;
use tokio::sync::oneshot;

use crate::{Conn, Handler, Outcome};

/// A callback that is due.
pub(crate) enum Callback {
    Open,
    Bytes(Bytes),
    Messages(Vec<Message>),
    Timer,
    Close(String),
    /// Of a kind that is not known here.
    Nothing,
}

/// Who wants to know that a callback is done.
pub(crate) enum Done {
    Nobody,
    /// The event of an ordered stream that it came with.
    Event(u64),
    /// A call of the gateway.
    Call(oneshot::Sender<Result<(), String>>),
}

/// A connection and its object.
pub(crate) struct Session<H> {
    pub(crate) conn: Conn,
    work: Mutex<Work<H>>,
}

struct Work<H> {
    /// Not here while a callback runs, and not after one that panicked.
    handler: Option<H>,
    waiting: VecDeque<(Callback, Done)>,
    is_running: bool,
}

impl<H: Handler> Session<H> {
    pub(crate) fn new(conn: Conn, handler: H) -> Arc<Self> {
        Arc::new(Self {
            conn,
            work: Mutex::new(Work {
                handler: Some(handler),
                waiting: VecDeque::new(),
                is_running: false,
            }),
        })
    }

    /// Runs a callback after those before it. One that does not wait for anything costs no task.
    pub(crate) fn run(self: &Arc<Self>, callback: Callback, done: Done) {
        let mut work = self.work.lock();
        if work.is_running {
            work.waiting.push_back((callback, done));
            return;
        }
        work.is_running = true;
        let handler = work.handler.take();
        drop(work);
        let mut running = Box::pin(self.clone().work(handler, callback, done));
        let mut context = Context::from_waker(Waker::noop());
        // Whoever polls it next wakes the right task: nothing is lost by asking once.
        if Pin::new(&mut running).poll(&mut context).is_pending() {
            tokio::spawn(running);
        }
    }

    async fn work(self: Arc<Self>, mut handler: Option<H>, callback: Callback, done: Done) {
        let mut next = (callback, done);
        loop {
            let (callback, done) = next;
            handler = self.step(handler, callback, done).await;
            let mut work = self.work.lock();
            let Some(waiting) = work.waiting.pop_front() else {
                work.waiting = VecDeque::new();
                work.handler = handler;
                work.is_running = false;
                return;
            };
            next = waiting;
        }
    }

    /// One callback, with all that it asks for.
    async fn step(&self, handler: Option<H>, callback: Callback, done: Done) -> Option<H> {
        if let Some(link) = self.conn.link() {
            link.begin_step();
        }
        let (handler, outcome) = match handler {
            Some(mut handler) => {
                let called = AssertUnwindSafe(self.call(&mut handler, callback));
                match called.catch_unwind().await {
                    Ok(Ok(())) => (Some(handler), Ok(())),
                    // That is heard by `on_close`.
                    Ok(Err(error)) if is_gone(&*error) => (Some(handler), Ok(())),
                    Ok(Err(error)) => (Some(handler), Err(error.to_string())),
                    Err(_) => (None, Err("the callback panicked".to_owned())),
                }
            }
            // Its end was the panic.
            None => (None, Ok(())),
        };
        if let Err(error) = &outcome {
            tracing::error!(conn = self.conn.id(), error, "a callback failed");
        }
        match (done, self.conn.link()) {
            (Done::Event(seq), Some(link)) => link.end_step(Some(seq), outcome.err()),
            (_, Some(link)) => link.end_step(None, outcome.err()),
            // Who called may have gone.
            (Done::Call(reply), None) => drop(reply.send(outcome)),
            (Done::Nobody | Done::Event(_), None) => {}
        }
        handler
    }

    async fn call(&self, handler: &mut H, callback: Callback) -> Outcome {
        let conn = &self.conn;
        match callback {
            Callback::Open => handler.on_open(conn).await,
            Callback::Bytes(bytes) => handler.on_bytes(conn, bytes).await,
            Callback::Messages(messages) => {
                for message in messages {
                    handler.on_message(conn, message).await?;
                }
                Ok(())
            }
            Callback::Timer => handler.on_timer(conn).await,
            Callback::Close(reason) => handler.on_close(conn, &reason).await,
            Callback::Nothing => Ok(()),
        }
    }
}

fn is_gone(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(crate::Error::Gone))
}
