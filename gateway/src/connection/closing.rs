//! How a connection ends: cheap and local first, slow and remote last.

use std::{
    future::poll_fn,
    io,
    task::{Poll, ready},
};

use tokio::{io::ReadBuf, time::timeout};

use super::{
    Blame, CloseReason, Connection, Settings,
    handle::{Command, Shared},
};
use crate::{
    broker::Session,
    transport::{Received, Socket},
};

impl Connection {
    /// Cheap and local first, slow and remote last: refuse calls and leave every table, then write what is left and
    /// shut the socket, then tell the handler.
    pub(super) async fn close(mut self: Box<Self>, reason: CloseReason) {
        self.refuse_calls(reason);
        if reason.flushes() {
            let limit = self.shared.settings.tuning().limits.flush_timeout;
            let flushed = timeout(limit, self.flush_and_shut()).await;
            if !matches!(flushed, Ok(Ok(()))) {
                tracing::debug!(conn = %self.shared.id, "the device did not take all that was sent");
            }
        }
        let Self {
            mut socket,
            callbacks,
            shared,
            inbound,
            outbox,
            timers,
            copied,
            ..
        } = *self;
        // The handler may take its time; none of this has to wait for it.
        drop((inbound, outbox, timers));
        if reason.flushes() && !shared.info.transport.is_datagram() {
            linger(socket, &shared.settings);
        } else {
            if !reason.flushes() {
                socket.abort();
            }
            drop(socket);
        }
        callbacks.finish(reason).await;
        copied.end(reason);
        shared.settings.metrics.closed(reason);
        log_close(&shared, reason);
    }

    /// From here on every caller is told that the connection is gone.
    fn refuse_calls(&mut self, reason: CloseReason) {
        self.shared.mailbox.close();
        self.shared.room.close();
        while let Some(command) = self.shared.mailbox.pop() {
            if let Command::Send(bytes) = *command
                && reason.flushes()
            {
                self.outbox.push(&bytes, &self.shared.room);
            }
        }
        self.registration = None;
        if let Some(pair) = self.shared.copied_to() {
            pair.copies.refuse();
        }
        self.callbacks.ending();
        let subscriptions = std::mem::take(&mut self.subscriptions);
        let session = self.callbacks.leave_messages().map(|queue| Session {
            queue,
            subscriptions,
        });
        if let Some(claim) = self.claim.take() {
            claim.ended(reason, session);
        }
        // Whoever waits for the end may now find what was handed over.
        self.shared.mailbox.seal();
    }

    async fn flush_and_shut(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            while !self.outbox.is_empty() {
                // Rates do not count any more: the end bounds what is left.
                let room = &self.shared.room;
                let step = self.outbox.poll_step(&mut *self.socket, room, None, cx);
                let written = ready!(step)?;
                self.shared.settings.counts.bytes_sent(written.bytes);
            }
            self.socket.poll_shutdown(cx)
        })
        .await
    }
}

/// Reads and throws away until the device has closed too: closing with unread bytes would make the kernel reset the
/// connection, and the device lose what we have just sent. Nobody waits for it, and so many at a time do.
fn linger(mut socket: Box<dyn Socket>, settings: &Settings) {
    let Ok(place) = settings.lingering.clone().try_acquire_owned() else {
        return;
    };
    let limit = settings.tuning().limits.flush_timeout;
    tokio::spawn(async move {
        let mut waste = [0; 1024];
        let closed = poll_fn(|cx| {
            loop {
                let mut chunk = ReadBuf::new(&mut waste);
                match ready!(socket.poll_receive(cx, &mut chunk)) {
                    Ok(Received::End) | Err(_) => return Poll::Ready(()),
                    Ok(_) => {}
                }
            }
        });
        let _ = timeout(limit, closed).await;
        drop(place);
    });
}

fn log_close(shared: &Shared, reason: CloseReason) {
    let (conn, device) = (&shared.id, shared.info.device);
    let listener = &*shared.settings.listener;
    let client = shared.phase.client().ok();
    let clientid = client.map(|client| &*client.clientid).unwrap_or_default();
    // A lost endpoint is said once by the endpoint, and not for each of its connections.
    let said = matches!(
        reason,
        CloseReason::Normal | CloseReason::HandlerLost | CloseReason::HandlerUnavailable
    );
    if reason.blame() == Blame::Handler && !said {
        tracing::warn!(%conn, listener, %device, clientid, %reason, "connection closed");
    } else {
        tracing::debug!(%conn, listener, %device, clientid, %reason, "connection closed");
    }
}
