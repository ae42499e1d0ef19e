//! Where handlers are found, which one a connection goes to, and what becomes of those that fail.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
};

use exproto_tests::{Callback, Device, Event, TestGateway, TestHandler, until};
use tokio::net::TcpSocket;

/// Which endpoint a connection goes to.
mod affinity;
/// Bounds of an endpoint.
mod bounds;
/// A second set of them that is tried.
mod canary;
/// A name that stands for all of them.
mod dns;
/// Endpoints that fail.
mod ejection;
/// Endpoints that tell how they are.
mod health;
/// Addresses in the configuration and in a file.
mod lists;
/// Servers that have not what is called.
mod misfit;
/// Endpoints that are spoken to over TLS.
mod tls;

const READY: &str = "exproto_handler_endpoints{state=\"ready\"}";
const TOTAL: &str = "exproto_handler_endpoints{state=\"total\"}";
const EJECTED: &str = "exproto_handler_endpoints{state=\"ejected\"}";

/// The metric of the connections of a handler.
fn connections(handler: &TestHandler) -> String {
    format!(
        "exproto_handler_connections{{endpoint=\"{}\"}}",
        handler.url()
    )
}

/// A device that connects from that address.
async fn from(ip: Ipv4Addr, gateway: &TestGateway) -> Device {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((ip, 0))).unwrap();
    Device::new(socket.connect(gateway.device_address()).await.unwrap())
}

/// The handler, by its place, to which each connection was told, once so many were.
async fn homes(handlers: &[&TestHandler], count: usize) -> HashMap<String, usize> {
    let mut homes = HashMap::new();
    until("all connections to be told of", async || {
        for (place, handler) in handlers.iter().enumerate() {
            while let Some(Callback { conn, event, .. }) = handler.try_next() {
                assert!(matches!(event, Event::Created(_)), "{event:?}");
                homes.insert(conn, place);
            }
        }
        homes.len() == count
    })
    .await;
    homes
}

/// Each sends a byte, and the handler that it is told to must be the one that it was told to before.
async fn still_at(
    devices: &mut [Device],
    handlers: &[&TestHandler],
    homes: &HashMap<String, usize>,
) {
    for device in &mut *devices {
        device.send("x").await;
    }
    let mut heard = 0;
    until("all to be heard", async || {
        for (place, handler) in handlers.iter().enumerate() {
            while let Some(Callback { conn, event, .. }) = handler.try_next() {
                assert!(matches!(event, Event::Received(_)), "{event:?}");
                assert_eq!(homes[&conn], place, "it moved");
                heard += 1;
            }
        }
        heard == devices.len()
    })
    .await;
}
