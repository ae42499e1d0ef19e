//! On which side of a mirror a connection is, if it is on any.

use std::sync::Arc;

use super::{Client, Handle, Pair, Shared, Side};

impl Shared {
    /// Where what the handler acknowledges is copied to.
    pub(in crate::connection) fn copied_to(&self) -> Option<&Arc<Pair>> {
        match &self.side {
            Some((Side::Real, pair)) => Some(pair),
            Some((Side::Mirror, _)) | None => None,
        }
    }

    /// Another handler is told of the connection, and may introduce the same client once more.
    pub(in crate::connection) fn rebound(&self) {
        self.phase.rebound();
        if let Some((_, pair)) = &self.side {
            pair.comparison.introduced_again();
        }
    }
}

impl Shared {
    /// The handler, or the mirror, has made calls for something that the other one is not told, or is told once more:
    /// they are not compared from now on.
    pub(in crate::connection) fn not_comparable(&self, why: &str) {
        if let Some((_, pair)) = &self.side {
            pair.comparison.give_up(why);
        }
    }
}

impl Handle {
    /// Where the connection is mirrored, or is a shadow: which of them, and what the two share.
    #[must_use]
    pub fn mirrored(&self) -> Option<(Side, &Arc<Pair>)> {
        self.0.side.as_ref().map(|(side, pair)| (*side, pair))
    }

    /// Whether it is a shadow: nothing that is asked of it is carried out.
    #[must_use]
    pub fn is_shadow(&self) -> bool {
        matches!(self.0.side, Some((Side::Mirror, _)))
    }

    /// Whether each Send is looked at: those of a shadow are not carried out, those of a mirrored connection are
    /// compared.
    pub(in crate::connection) fn looks_at_sends(&self) -> bool {
        match &self.0.side {
            None => false,
            Some((Side::Mirror, _)) => true,
            Some((Side::Real, pair)) => pair.comparison.compares_sends(),
        }
    }

    /// A shadow passes for this client from now on, unless it does for another.
    pub fn pass_for(&self, client: Client) {
        if self.is_shadow() {
            // The first one counts, as with any connection.
            let _ = self.0.phase.authenticated(Arc::new(client));
        }
    }
}
