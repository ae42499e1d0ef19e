//! How the gateway under test is known to behave where gateways differ: the one place for what EMQX does otherwise.
//!
//! What EMQX does is what `docs/compatibility.md` says of it; where it promises nothing, a check is skipped.

use proto::exproto::ResultCode;

use crate::check::{Miss, skip};

/// A gateway's manner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// As the documents of this gateway have it.
    #[default]
    Exproto,
    /// As EMQX 5.1 to 6.2 is documented to behave.
    Emqx,
}

/// What an adapter call must be answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A code.
    Code(ResultCode),
    /// An error of gRPC.
    Error,
}

impl Dialect {
    /// A field has a value that is not allowed: qos, timer, interval, conn.
    #[must_use]
    pub fn wrong_value(self) -> Wanted {
        self.either(ResultCode::ParamsTypeError, ResultCode::Unknown)
    }

    /// Publish, Subscribe, Unsubscribe by nobody.
    #[must_use]
    pub fn nobody(self) -> Wanted {
        self.either(ResultCode::PermissionDeny, ResultCode::Unknown)
    }

    /// `conn` is empty.
    #[must_use]
    pub fn no_conn(self) -> Wanted {
        self.either(ResultCode::RequiredParamsMissed, ResultCode::Unknown)
    }

    /// Authenticate without clientinfo.
    #[must_use]
    pub fn no_clientinfo(self) -> Wanted {
        match self {
            Self::Exproto => Wanted::Code(ResultCode::RequiredParamsMissed),
            Self::Emqx => Wanted::Error,
        }
    }

    /// Authenticate with an empty clientid.
    #[must_use]
    pub fn no_clientid(self) -> Wanted {
        self.either(ResultCode::RequiredParamsMissed, ResultCode::Success)
    }

    /// RawPublish with qos 3.
    #[must_use]
    pub fn raw_wrong_qos(self) -> Wanted {
        match self {
            Self::Exproto => Wanted::Code(ResultCode::ParamsTypeError),
            Self::Emqx => Wanted::Error,
        }
    }

    /// Publish to a topic with wildcards.
    #[must_use]
    pub fn wildcard_topic(self) -> Wanted {
        self.either(ResultCode::ParamsTypeError, ResultCode::Success)
    }

    /// A reason in OnSocketClosed.
    #[must_use]
    pub fn reason(self, word: &str) -> String {
        match self {
            Self::Exproto => word.to_owned(),
            Self::Emqx => format!("{{shutdown,{word}}}"),
        }
    }

    /// Goes on for this gateway; what `why` says of EMQX leaves nothing to check there.
    pub fn ours(self, why: &str) -> Result<(), Miss> {
        match self {
            Self::Exproto => Ok(()),
            Self::Emqx => skip(format!("EMQX: {why}")),
        }
    }

    fn either(self, ours: ResultCode, emqx: ResultCode) -> Wanted {
        Wanted::Code(match self {
            Self::Exproto => ours,
            Self::Emqx => emqx,
        })
    }
}
