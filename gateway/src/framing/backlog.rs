//! Bytes that wait for the rest of their frame. Holds no memory while there are none, and little while there are few,
//! however much came at once.

/// Leftovers up to so many bytes may keep a buffer that is larger than they need.
const SMALL: usize = 64;

/// The bytes, taken off the front one frame at a time.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    buffer: Vec<u8>,
    /// Where the bytes start; before it is what was taken off.
    start: usize,
    /// How many of the bytes are known to end no frame.
    seen: usize,
}

impl Backlog {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    pub(super) fn seen(&self) -> usize {
        self.seen
    }

    /// Takes bytes off the front.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        self.seen = 0;
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Nothing more can be taken off for now. What was taken off gives its memory back: here and not with each frame,
    /// so that the bytes of a read are moved once at most.
    pub(super) fn settle(&mut self, seen: usize) {
        self.seen = seen;
        if self.start == 0 {
            return;
        }
        let rest = self.bytes();
        if self.buffer.capacity() > 2 * rest.len().max(SMALL) {
            self.buffer = rest.to_vec();
        } else {
            self.buffer.drain(..self.start);
        }
        self.start = 0;
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}
