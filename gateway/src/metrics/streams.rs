//! What is shown of ordered streams.

use super::Metrics;
use crate::handler::Handlers;

impl Metrics {
    /// Shows what the streams to these handlers count.
    pub fn observe_streams(&self, handlers: &Handlers) {
        let counts = handlers.stream_counts();
        self.observe_counts(
            counts,
            ("exproto_stream_batches", "Batches of ordered streams."),
            (
                "direction",
                &[
                    ("sent", |counts| &counts.batches_sent),
                    ("received", |counts| &counts.batches_received),
                ],
            ),
        );
        self.observe_counts(
            counts,
            ("exproto_stream_events", "Events of ordered streams that were sent: for the first time, or again on another stream."),
            ("sending", &[("first", |counts| &counts.events), ("again", |counts| &counts.resent)]),
        );
        self.observe_counts(
            counts,
            ("exproto_stream_commands", "Commands of ordered streams: accepted, or repeated (accepted before, and so ignored)."),
            ("outcome", &[("accepted", |counts| &counts.commands), ("repeated", |counts| &counts.repeated_commands)]),
        );
        self.observe_counts(
            counts,
            ("exproto_stream_misfits", "What handlers got wrong on ordered streams: stray (a command or acknowledgement for a connection that is not attached, which may just have ended), fault (a connection was closed for it)."),
            ("kind", &[("stray", |counts| &counts.strays), ("fault", |counts| &counts.faults)]),
        );
    }
}
