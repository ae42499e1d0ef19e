//! The way to a gRPC server that the user named.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tonic::transport::{Channel, Endpoint};

use crate::{check::UnknownCheck, patience::Patience};

/// Between two attempts: whoever was started together with the kit needs a moment.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is none.
    #[error("{0:?} is no address of a gRPC server; write host:port")]
    Address(String),
    /// Nobody is there.
    #[error(
        "cannot reach the {what} at {address} within {patience:?}; is it running, and is that its address?"
    )]
    Connect {
        /// Who: the handler, or the adapter.
        what: &'static str,
        /// Where.
        address: String,
        /// How long was tried.
        patience: Duration,
        /// Why the last attempt failed.
        #[source]
        cause: tonic::transport::Error,
    },
    /// There is no such check.
    #[error(transparent)]
    Check(#[from] UnknownCheck),
}

/// Connects to `http://host:port`, and tries again until the deadline is over.
pub async fn connect(
    what: &'static str,
    address: &str,
    patience: Patience,
) -> Result<Channel, Error> {
    let endpoint = Endpoint::from_shared(address.to_owned());
    let endpoint = endpoint.map_err(|_| Error::Address(address.to_owned()))?;
    let endpoint = endpoint
        .connect_timeout(patience.deadline)
        .tcp_nodelay(true);
    let end = Instant::now() + patience.deadline;
    loop {
        match endpoint.connect().await {
            Ok(channel) => return Ok(channel),
            Err(_) if Instant::now() + PAUSE < end => sleep(PAUSE).await,
            Err(cause) => {
                return Err(Error::Connect {
                    what,
                    address: address.to_owned(),
                    patience: patience.deadline,
                    cause,
                });
            }
        }
    }
}
