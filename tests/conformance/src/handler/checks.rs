//! The checks of a handler, in their order: first that it answers at all, last what can only be said of the whole run.

use super::Stage;
use crate::check::Check;

/// How connections begin and end.
mod ends;
/// Bytes, however they are cut.
mod bytes;
/// Many devices, slow ones, and calls that are refused.
mod company;
/// Clients, takeover, timers, messages.
mod clients;
/// What is said of all calls and callbacks of a run.
mod calls;

/// All checks, in the order in which they run.
#[must_use]
pub fn checks() -> Vec<Check<Stage>> {
    let mut all = ends::first();
    all.extend(bytes::checks());
    all.extend(ends::checks());
    all.extend(company::checks());
    all.extend(clients::checks());
    all.extend(calls::checks());
    all
}
