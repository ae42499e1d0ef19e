//! A gateway with one fault: a sound one, with a proxy between it and the handler, and another between it and whoever
//! calls its adapter.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use exproto_tests::TestGateway;
use proto::exproto::{
    connection_adapter_client::ConnectionAdapterClient,
    connection_adapter_server::ConnectionAdapterServer,
    connection_unary_handler_client::ConnectionUnaryHandlerClient,
    connection_unary_handler_server::ConnectionUnaryHandlerServer,
};
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint, Server, server::TcpIncoming};

/// What goes wrong on the way to the handler.
mod callbacks;
/// What goes wrong on the way to the adapter.
mod calls;

/// The gateway's own deadline for callbacks.
pub(crate) const HANDLER_DEADLINE: Duration = Duration::from_secs(5);

/// One rule that is broken. Those of callbacks first, then those of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    CreatedTwice,
    WrongPort,
    AnswersForTheHandler,
    OneCallbackAtATime,
    ClosedTwice,
    ClosedLost,
    AnotherReason,
    NoMetadata,
    ByteChanged,
    SmallByteLost,
    LargeBytesSwapped,
    EmptyBytes,
    WaitingBytesReversed,
    LastBytesLost,
    NoTimeout,
    ErrorsForgiven,
    SilenceForgiven,
    MessageLost,
    FromChanged,
    MessageTwice,
    EmptyMessages,
    NestedMessageLost,
    RawFromChanged,
    SendChanged,
    SendLost,
    SendInsideRefused,
    LateSendTaken,
    SendHalved,
    CloseOfGoneTaken,
    BadConnUnknown,
    NoConnTaken,
    SubscribeUnknown,
    NoClientinfoUnknown,
    NoClientidTaken,
    NobodyLetIn,
    AuthenticatedTwice,
    ClientidChanged,
    NewerForgotten,
    ZeroIntervalTaken,
    FarewellLost,
    QosLowered,
    WildcardTaken,
    RawQosLowered,
    UnsubscribeForgotten,
    GroupForgotten,
    StormMixed,
}

/// What both proxies know.
struct Shared {
    fault: Option<Fault>,
    handler: ConnectionUnaryHandlerClient<Channel>,
    adapter: ConnectionAdapterClient<Channel>,
    one_at_a_time: tokio::sync::Mutex<()>,
    /// Clientids that were let in.
    clientids: Mutex<Vec<String>>,
    /// Connections whose end may be lost.
    lost: Mutex<Vec<String>>,
}

impl Shared {
    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}

/// A running gateway with that fault.
pub(crate) struct Saboteur {
    /// The sound one; it ends with this.
    pub(crate) gateway: TestGateway,
    /// Where its adapter seems to be.
    pub(crate) adapter: SocketAddr,
}

/// Starts one whose handler is at that address.
pub(crate) async fn start(handler: SocketAddr, fault: Option<Fault>) -> Saboteur {
    let (callbacks, calls) = (bind().await, bind().await);
    let mut config = exproto_tests::gateway::config(&[]);
    let address = callbacks.local_addr().unwrap();
    config.handler.addresses = vec![address.to_string().parse().unwrap()];
    config.handler.deadline = HANDLER_DEADLINE;
    let gateway = TestGateway::with(config).await;
    let shared = Arc::new(Shared {
        fault,
        handler: ConnectionUnaryHandlerClient::new(lazy(handler)),
        adapter: ConnectionAdapterClient::new(lazy(gateway.adapter_address())),
        one_at_a_time: tokio::sync::Mutex::default(),
        clientids: Mutex::default(),
        lost: Mutex::default(),
    });
    let adapter = calls.local_addr().unwrap();
    let service = ConnectionUnaryHandlerServer::new(callbacks::Proxy(shared.clone()));
    tokio::spawn(
        Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(callbacks).with_nodelay(Some(true))),
    );
    let service = ConnectionAdapterServer::new(calls::Proxy(shared));
    tokio::spawn(
        Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(calls).with_nodelay(Some(true))),
    );
    Saboteur { gateway, adapter }
}

async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn lazy(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy()
}
