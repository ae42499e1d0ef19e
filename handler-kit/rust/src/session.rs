//! One connection: its object, and the callbacks that wait for it.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
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
    /// The last event, and what is to be done once it is acknowledged.
    LastEvent(u64, Box<dyn FnOnce() + Send>),
    /// A call of the gateway.
    Call(oneshot::Sender<Result<(), String>>),
}

/// A connection and its object.
pub(crate) struct Session<H> {
    pub(crate) conn: Conn,
    work: Mutex<Work<H>>,
}

struct Work<H> {
    /// Not here while a callback runs.
    handler: Option<H>,
    waiting: VecDeque<(Callback, Done)>,
    is_running: bool,
    /// A callback has failed: only `on_close` follows.
    has_failed: bool,
    /// It is another object's connection now: nothing follows.
    is_discarded: bool,
}

impl<H: Handler> Session<H> {
    /// Callbacks wait until it is opened.
    pub(crate) fn new(conn: Conn) -> Arc<Self> {
        Arc::new(Self {
            conn,
            work: Mutex::new(Work {
                handler: None,
                waiting: VecDeque::new(),
                is_running: true,
                has_failed: false,
                is_discarded: false,
            }),
        })
    }

    /// Has the object made, and runs its first callback.
    pub(crate) fn open(self: &Arc<Self>, accept: &impl Fn(&Conn) -> H, done: Done) {
        let made = catch_unwind(AssertUnwindSafe(|| accept(&self.conn)));
        if let Ok(handler) = made {
            self.start(Some(handler), Callback::Open, done);
            return;
        }
        let error = "the function that makes objects panicked";
        self.fail(None, error);
        match done {
            Done::Call(reply) => drop(reply.send(Err(error.to_owned()))),
            Done::Nobody | Done::Event(_) | Done::LastEvent(..) => {}
        }
        self.start(None, Callback::Nothing, Done::Nobody);
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
        self.start(handler, callback, done);
    }

    /// Something about the connection is wrong: only `on_close` follows. `seq`: the event that is not shown.
    pub(crate) fn fail(&self, seq: Option<u64>, error: &str) {
        tracing::error!(conn = self.conn.id(), error, "a connection is ended");
        self.work.lock().has_failed = true;
        if let Some(link) = self.conn.link() {
            link.fail(seq, error.to_owned());
        }
    }

    /// The connection is taken for gone: its pod is not heard of, or has started again.
    pub(crate) fn detach(self: &Arc<Self>) {
        if let Some(link) = self.conn.link() {
            link.end();
        }
        let mut waiting = std::mem::take(&mut self.work.lock().waiting);
        // What waits is done elsewhere, but for the end where that has come.
        let (callback, done) = waiting
            .pop_back()
            .filter(|(callback, _)| callback.is_close())
            .unwrap_or_else(|| (Callback::Close("detached".to_owned()), Done::Nobody));
        self.run(callback, done);
    }

    /// The connection goes on with another object: this one hears of nothing more.
    pub(crate) fn discard(&self) {
        if let Some(link) = self.conn.link() {
            link.end();
        }
        let mut work = self.work.lock();
        work.is_discarded = true;
        let left = (work.handler.take(), std::mem::take(&mut work.waiting));
        drop(work);
        // The user's code may run now.
        drop(left);
    }

    fn start(self: &Arc<Self>, handler: Option<H>, callback: Callback, done: Done) {
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
                if !work.is_discarded {
                    work.handler = handler;
                }
                work.is_running = false;
                return;
            };
            next = waiting;
        }
    }

    /// One callback, with all that it asks for.
    async fn step(&self, handler: Option<H>, callback: Callback, done: Done) -> Option<H> {
        let is_last = callback.is_close();
        if !self.expects(is_last) {
            self.finish(done, Ok(()));
            return handler;
        }
        let Some(mut handler) = handler else {
            self.finish(done, Ok(()));
            return None;
        };
        if let Some(link) = self.conn.link() {
            link.begin_step();
        }
        let called = AssertUnwindSafe(self.call(&mut handler, callback));
        let outcome = match called.catch_unwind().await {
            Ok(Ok(())) => Ok(()),
            // That is heard by `on_close`.
            Ok(Err(error)) if is_gone(&*error) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the callback panicked".to_owned()),
        };
        if let Err(error) = &outcome {
            tracing::error!(conn = self.conn.id(), error, "a callback failed");
            self.work.lock().has_failed = true;
        }
        self.finish(done, outcome);
        (!is_last).then_some(handler)
    }

    fn expects(&self, is_last: bool) -> bool {
        let work = self.work.lock();
        !work.is_discarded && (is_last || !work.has_failed)
    }

    /// Tells who wants to know what became of a callback.
    fn finish(&self, done: Done, outcome: Result<(), String>) {
        match (done, self.conn.link()) {
            (Done::Event(seq), Some(link)) => link.end_step(Some(seq), outcome.err()),
            (Done::LastEvent(seq, then), Some(link)) => {
                // The connection has ended: that its object has failed changes nothing.
                link.end_last_step(seq);
                then();
            }
            (_, Some(link)) => link.end_step(None, outcome.err()),
            // Who called may have gone.
            (Done::Call(reply), None) => drop(reply.send(outcome)),
            (_, None) => {}
        }
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

impl Callback {
    fn is_close(&self) -> bool {
        matches!(self, Self::Close(_))
    }
}

fn is_gone(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(crate::Error::Gone))
}
