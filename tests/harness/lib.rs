//! What the tests are made of: a gateway in this process, a handler that does as the test says, devices.
//!
//! All of it is real: sockets of the kernel, gRPC over them. Ports are free ones. Nothing sleeps to wait: what a test
//! waits for has a deadline, which only a failure meets.

use std::{
    collections::BTreeSet,
    future::Future,
    net::{SocketAddr, TcpListener},
    sync::Mutex,
    time::Duration,
};

/// A gateway in this process.
pub mod gateway;
/// A handler that does as the test says.
pub mod handler;
/// A handler of the ordered stream that does as the test says.
pub mod stream;
/// A proxy that cuts connections, or lets them stall.
pub mod proxy;
/// A device.
pub mod device;
/// A transport: the listener that speaks it, and a device that does.
pub mod carrier;
/// The gateway's program.
pub mod program;
/// A program that runs beside the test.
pub mod process;
/// A pod as its user has it.
pub mod pod;
/// A virtual environment of Python.
pub mod python;
/// An authority, and what it signs.
pub mod pki;
/// Redis servers.
pub mod redis;
/// An API server of Kubernetes.
pub mod kubernetes;
/// Clocks that jump.
pub mod clock;

pub use carrier::{Carrier, Credentials};
pub use clock::Clock;
pub use device::Device;
pub use gateway::TestGateway;
pub use handler::{Answering, Callback, Event, Manner, TestHandler};
pub use kubernetes::Kubernetes;
pub use pki::Pki;
pub use pod::Pod;
pub use process::Process;
pub use proxy::Proxy;
pub use redis::{RedisCluster, RedisServer, SentinelSet};
pub use stream::StreamHandler;

/// Far longer than anything takes, also on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A port of this machine that is free now, and that no other test of this process is given. (Somebody else may take it
/// in the meantime, which is as likely as the same number twice in some 28,000.)
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_address() -> SocketAddr {
    static GIVEN: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());
    loop {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("a bound socket");
        if GIVEN.lock().expect("nobody panics with it").insert(address) {
            return address;
        }
    }
}

/// Waits for `future`; what never comes fails the test.
///
/// # Panics
/// When `DEADLINE` is over.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Asks again and again until `check` says yes.
///
/// # Panics
/// When `DEADLINE` is over.
pub async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    within(what, async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
