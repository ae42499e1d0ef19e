//! A gateway with one listener of some transport, a handler, and devices.

use std::time::Duration;

use exproto_tests::{Carrier, Credentials, Device, TestGateway, TestHandler, until};
use tokio::task::JoinHandle;

use crate::calls::Calls;

/// A metric of that listener with a reason.
pub(crate) fn series(name: &str, reason: &str) -> String {
    format!("{name}{{listener=\"tcp\",reason=\"{reason}\"}}")
}

/// So many, and then none for longer than any test.
#[expect(clippy::unnecessary_wraps, reason = "settings of rates are optional")]
pub(crate) fn only(amount: u64) -> Option<config::Rate> {
    Some(config::Rate {
        amount,
        period: Duration::from_secs(100 * 3600),
    })
}

/// A gateway whose one listener speaks the transport, its handler, and what devices need.
pub(crate) struct Setting {
    pub(crate) carrier: Carrier,
    pub(crate) credentials: Credentials,
    pub(crate) handler: TestHandler,
    pub(crate) gateway: TestGateway,
}

impl Setting {
    pub(crate) async fn new(carrier: Carrier, adapt: impl FnOnce(&mut config::Config)) -> Self {
        let credentials = Credentials::default();
        let handler = TestHandler::start();
        let mut config = carrier.config(&[&handler], &credentials);
        adapt(&mut config);
        let gateway = TestGateway::with(config).await;
        Self {
            carrier,
            credentials,
            handler,
            gateway,
        }
    }

    /// A device that is let in; UDP devices are not known yet.
    pub(crate) async fn device(&self) -> Device {
        let address = self.gateway.device_address();
        self.carrier.connect(address, &self.credentials).await
    }

    /// A device that the handler knows, since it has said `x`.
    pub(crate) async fn known(&self) -> (Device, Calls) {
        let mut device = self.device().await;
        device.send("x").await;
        let conn = self.handler.created().await;
        assert_eq!(self.handler.received(1).await, b"x");
        (device, Calls::new(&self.gateway, &conn))
    }

    /// A device that tries to come in and to say something, for as long as the answer is kept.
    pub(crate) fn attempt(&self) -> Attempt {
        let carrier = self.carrier;
        let address = self.gateway.device_address();
        let credentials = self.credentials.clone();
        Attempt(tokio::spawn(async move {
            let device = carrier.try_connect(address, &credentials, None).await;
            if let Ok(mut device) = device {
                let _ = device.try_send(b"y").await;
                std::future::pending::<()>().await;
            }
        }))
    }

    /// One connection is there, and not more than it: seen by another one that is refused.
    pub(crate) async fn refuses_beyond_one(&self) {
        self.gateway.reconfigure(|config| {
            config.listeners[0].limits.max_connections = 1.try_into().unwrap();
        });
        let refused = series("exproto_connections_refused_total", "max_connections");
        until("a connection to have its place", async || {
            let _attempt = tokio::net::TcpStream::connect(self.gateway.device_address()).await;
            self.gateway.metric(&refused).await > 0
        })
        .await;
        self.gateway.reconfigure(|config| {
            config.listeners[0].limits.max_connections = 100.try_into().unwrap();
        });
    }

    /// Somebody was turned away for that reason, and the handler heard nothing.
    pub(crate) async fn refuses(&self, reason: &str) {
        let refused = series("exproto_connections_refused_total", reason);
        let before = self.gateway.metric(&refused).await;
        let _attempt = self.attempt();
        self.gateway.counts(&refused, before + 1).await;
        assert!(self.handler.try_next().is_none());
    }

    /// The next device is let in.
    pub(crate) async fn lets_in(&self) -> Attempt {
        let attempt = self.attempt();
        self.handler.created().await;
        assert_eq!(self.handler.received(1).await, b"y");
        attempt
    }
}

/// Ends with the test, or earlier.
pub(crate) struct Attempt(JoinHandle<()>);

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.abort();
    }
}
