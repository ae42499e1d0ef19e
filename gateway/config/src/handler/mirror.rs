//! A second handler that is tried with live traffic, and harms nobody.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Canary, Handler, HandlerAddress, HandlerDns, HandlerService, HandlerSource, OnHandlerLoss,
};
use crate::{ByteSize, Percent, count::Count, size::KibBetween};

/// A second handler that is told what the handler was told, once the handler has acknowledged it. What
/// it calls is answered and not carried out, and compared with what the handler called: a new version
/// can so be tried with live traffic, or one in another language, or by another `service`. It is on
/// where its replicas are to be found: one of `addresses`, `dns` and `file`, as for the handler. All
/// other settings of the handler hold for it too, but that its connections always go to another
/// replica when theirs is lost. Give it a caller of its own with `mirror: true` in `adapter.callers`,
/// and a store of its own: what it does elsewhere than here is real. All but `percent` needs a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mirror {
    /// As `handler.addresses`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = vec!["http://10.0.0.9:9001"])]
    pub addresses: Vec<HandlerAddress>,

    /// As `handler.dns`.
    pub dns: HandlerDns,

    /// As `handler.file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/exproto/mirror")]
    pub file: Option<PathBuf>,

    /// The gRPC service that it implements. Unset: the same as `handler.service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = HandlerService::ConnectionStream)]
    pub service: Option<HandlerService>,

    /// How many of a hundred new connections are mirrored; chance decides which. It can be changed while
    /// the gateway runs, and is 0 where the mirror is removed then.
    pub percent: Percent,

    /// How many connections are mirrored at a time. Further ones are not, and are counted as `skipped`.
    #[serde(with = "Count::<1, 10_000_000>")]
    pub max_connections: u32,

    /// How many bytes of each connection may wait for the mirror, and how many bytes of calls, each
    /// counted with 128 bytes more, for the same calls of the other one. Above that the connection is
    /// mirrored no more, and counted as `abandoned`; but one event and one call may wait, whatever their
    /// size.
    #[serde(with = "KibBetween::<1, 65536>")]
    pub buffer: ByteSize,
}

impl Default for Mirror {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            dns: HandlerDns::default(),
            file: None,
            service: None,
            percent: Percent::whole(100),
            max_connections: 10_000,
            buffer: ByteSize::kib(256),
        }
    }
}

impl Mirror {
    /// Where its replicas are found; `None` where there is no mirror.
    #[must_use]
    pub fn source(&self) -> Option<HandlerSource<'_>> {
        HandlerSource::of_another(&self.addresses, &self.dns, self.file.as_ref())
    }
}

impl Handler {
    /// The mirror, as a handler; `None` where there is none.
    #[must_use]
    pub fn of_mirror(&self) -> Option<Self> {
        self.mirror.source()?;
        let Mirror {
            addresses,
            dns,
            file,
            service,
            ..
        } = self.mirror.clone();
        Some(Self {
            addresses,
            dns,
            file,
            service: service.unwrap_or(self.service),
            // It is there to be replaced, and its connections are not.
            on_handler_loss: OnHandlerLoss::Rebind,
            canary: Canary::default(),
            mirror: Mirror::default(),
            ..self.clone()
        })
    }
}
