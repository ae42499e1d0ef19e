//! How a connection ends: cheap and local first, slow and remote last.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::timeout,
};

use super::{
    Blame, CloseReason, Connection, Settings,
    handle::{Command, Shared},
    subscriptions::Subscriptions,
};

impl<Io: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection<Io> {
    /// Cheap and local first, slow and remote last: refuse calls and leave every table, then write what is left and
    /// shut the socket, then tell the handler.
    pub(super) async fn close(mut self, reason: CloseReason) {
        self.refuse_calls(reason);
        let limits = &self.shared.settings.limits;
        if reason.flushes() {
            let flushed = timeout(limits.flush_timeout, self.flush_and_shut()).await;
            if !matches!(flushed, Ok(Ok(()))) {
                tracing::debug!(conn = %self.shared.id, "the device did not take all that was sent");
            }
        }
        let Self {
            io,
            callbacks,
            shared,
            mailbox,
            outbox,
            timers,
            ..
        } = self;
        // The handler may take its time; none of this has to wait for it.
        drop((mailbox, outbox, timers));
        if reason.flushes() {
            linger(io, &shared.settings);
        } else {
            drop(io);
        }
        callbacks.finish(reason).await;
        shared.settings.metrics.closed(reason);
        log_close(&shared, reason);
    }

    /// From here on every caller is told that the connection is gone.
    fn refuse_calls(&mut self, reason: CloseReason) {
        self.mailbox.close();
        self.shared.room.close();
        while let Ok(command) = self.mailbox.try_recv() {
            if let Command::Send(bytes) = *command
                && reason.flushes()
            {
                self.outbox.push(&bytes, &self.shared.room);
            }
        }
        self.subscriptions = Subscriptions::default();
        self.callbacks.drop_messages();
        self.guards.clear();
    }

    async fn flush_and_shut(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            if self.outbox.is_empty() {
                Poll::Ready(Ok(()))
            } else {
                self.poll_write(cx)
            }
        })
        .await?;
        self.io.shutdown().await
    }
}

/// Reads and throws away until the device has closed too: closing with unread bytes would make the kernel reset the
/// connection, and the device lose what we have just sent. Nobody waits for it, and so many at a time do.
fn linger(mut io: impl AsyncRead + Unpin + Send + 'static, settings: &Settings) {
    let Ok(place) = settings.lingering.clone().try_acquire_owned() else {
        return;
    };
    let limit = settings.limits.flush_timeout;
    tokio::spawn(async move {
        let mut waste = [0; 1024];
        let closed = poll_fn(|cx| {
            loop {
                let mut chunk = ReadBuf::new(&mut waste);
                match ready!(Pin::new(&mut io).poll_read(cx, &mut chunk)) {
                    Ok(()) if !chunk.filled().is_empty() => {}
                    _ => return Poll::Ready(()),
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
