//! Bytes on their way out, which can tell whether HTTP/2 has written all of them.

use bytes::{Buf, Bytes};
use tokio::sync::oneshot;

/// What a DATA frame carries.
pub(super) struct Parcel {
    bytes: Bytes,
    /// Told when nobody holds it any more: whether all of it was written.
    gone: Option<oneshot::Sender<bool>>,
}

impl Parcel {
    /// A parcel, and what becomes of it: true once all of it is written, false where it was thrown away before.
    pub(super) fn tracked(bytes: Bytes) -> (Self, oneshot::Receiver<bool>) {
        let (gone, outcome) = oneshot::channel();
        let gone = Some(gone);
        (Self { bytes, gone }, outcome)
    }
}

impl From<Bytes> for Parcel {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, gone: None }
    }
}

impl Buf for Parcel {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if let Some(gone) = self.gone.take() {
            let _ = gone.send(self.bytes.is_empty());
        }
    }
}
