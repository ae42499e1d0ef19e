//! The handler by the ordered stream: the kit's, as a user would write it.

use std::sync::{Arc, atomic::Ordering};

use anyhow::Result;
use exproto_handler::{Bytes, Conn, Handler, Outcome, Server};

use super::Args;
use crate::{counts::Counts, transport::Transport};

/// Serves until killed.
pub(super) async fn serve(args: &Args, counts: Arc<Counts>) -> Result<()> {
    let accept = move |conn: &Conn| Echo {
        is_lines: conn.peer().listener == Transport::Lines.name(),
        counts: Arc::clone(&counts),
    };
    Ok(Server::new(accept)
        .credits(256, 256 * 1024)
        .serve(args.listen)
        .await?)
}

struct Echo {
    is_lines: bool,
    counts: Arc<Counts>,
}

impl Handler for Echo {
    async fn on_open(&mut self, conn: &Conn) -> Outcome {
        if conn.attempt() == 1 {
            self.counts.created.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }

    async fn on_bytes(&mut self, conn: &Conn, bytes: Bytes) -> Outcome {
        if self.is_lines {
            self.counts.lines.fetch_add(1, Ordering::Relaxed);
        } else {
            conn.send(bytes).await?;
        }
        Ok(())
    }

    async fn on_close(&mut self, _: &Conn, _: &str) -> Outcome {
        self.counts.closed.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}
