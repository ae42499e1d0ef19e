//! The link to Redis, against real servers: one, a set with sentinels, a cluster; and what becomes of it when they fail.

// Clippy knows tests by their attribute, not the functions that they share.
#![allow(clippy::unwrap_used)]

/// A link as a pod has it.
mod pod;
/// What works everywhere.
mod everywhere;
/// One server that fails.
mod faults;
/// Commands that leave together.
mod pieces;
/// More than there is room for.
mod bounds;
/// Fail-over by sentinels.
mod sentinels;
/// Fail-over and moved slots in a cluster.
mod cluster;
/// What is lost lies in a gap.
mod losses;
/// Who is let in, and what is refused.
mod admission;
