//! The checks of a gateway, in their order: callbacks first, then calls, then what both make together.

use super::Stage;
use crate::check::Check;

/// The order of callbacks.
mod callbacks;
/// Bytes of the device.
mod inbound;
/// Bytes for the device.
mod outbound;
/// Clients: Authenticate, takeover, the timer.
mod clients;
/// Calls that must be refused, and by which code.
mod codes;
/// Messages and topics.
mod messages;
/// A handler that fails, and many devices at once.
mod trouble;

/// All checks, in the order in which they run.
#[must_use]
pub fn checks() -> Vec<Check<Stage>> {
    let mut all = callbacks::checks();
    all.extend(inbound::checks());
    all.extend(outbound::checks());
    all.extend(clients::checks());
    all.extend(codes::checks());
    all.extend(messages::checks());
    all.extend(trouble::checks());
    all
}
