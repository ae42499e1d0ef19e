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
    Blame, CloseReason, Connection,
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
            ..
        } = self;
        let lingering = async {
            if reason.flushes() {
                let _ = timeout(shared.settings.limits.flush_timeout, linger(io)).await;
            }
        };
        let telling = async {
            callbacks.finish(reason).await;
            shared.settings.metrics.closed(reason);
            log_close(&shared, reason);
        };
        tokio::join!(lingering, telling);
    }

    /// From here on every caller is told that the connection is gone.
    fn refuse_calls(&mut self, reason: CloseReason) {
        self.mailbox.close();
        self.shared.room.close();
        while let Ok(command) = self.mailbox.try_recv() {
            if let Command::Send(bytes) = *command
                && reason.flushes()
            {
                self.outbox.push(&bytes);
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
/// connection, and the device lose what we have just sent.
async fn linger(mut io: impl AsyncRead + Unpin) {
    let mut waste = [0; 1024];
    poll_fn(|cx| {
        loop {
            let mut chunk = ReadBuf::new(&mut waste);
            match ready!(Pin::new(&mut io).poll_read(cx, &mut chunk)) {
                Ok(()) if !chunk.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    })
    .await;
}

fn log_close(shared: &Shared, reason: CloseReason) {
    let (conn, peer) = (&shared.id, shared.info.peer);
    let listener = &*shared.settings.listener;
    let client = shared.phase.client().ok();
    let clientid = client.map(|client| &*client.clientid).unwrap_or_default();
    if reason.blame() == Blame::Handler && reason != CloseReason::Normal {
        tracing::warn!(%conn, listener, %peer, clientid, %reason, "connection closed");
    } else {
        tracing::debug!(%conn, listener, %peer, clientid, %reason, "connection closed");
    }
}
