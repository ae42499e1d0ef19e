//! Handlers that refuse single calls, spoken to in plain HTTP/2: only what provably never reached them is repeated.

use std::{
    collections::HashSet,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use config::Config;
use exproto_tests::{Device, TestGateway, TestHandler, gateway::config as config_for, until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
const GOAWAY: u8 = 7;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// What to do with a call.
#[derive(Clone, Copy)]
enum Act {
    Answer,
    Refuse,
    GoAwayBefore,
    Cut,
    Unavailable,
}

/// A handler in plain HTTP/2. It sees the raw body of every call and does with it as it is told.
struct PlainHandler {
    address: SocketAddr,
    calls: mpsc::Receiver<Vec<u8>>,
    acts: Arc<Mutex<Vec<Act>>>,
}

impl PlainHandler {
    /// Does `acts` with the first calls, whichever connection they come by, and answers the rest.
    async fn start(acts: &[Act]) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (sender, calls) = mpsc::channel(1000);
        let acts = Arc::new(Mutex::new(acts.iter().rev().copied().collect::<Vec<_>>()));
        let shared = acts.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = socket.accept().await {
                tokio::spawn(serve(socket, sender.clone(), shared.clone()));
            }
        });
        Self {
            address,
            calls,
            acts,
        }
    }

    fn config(&self) -> Config {
        let mut config = config_for(&[&TestHandler::absent()]);
        config.handler.addresses = vec![self.address.to_string().parse().unwrap()];
        // Every call is told to the test.
        config.handler.health.enabled = false;
        config
    }

    async fn call(&mut self) -> Vec<u8> {
        exproto_tests::within("a call", self.calls.recv())
            .await
            .unwrap()
    }

    fn is_done(&self) -> bool {
        self.acts.lock().unwrap().is_empty()
    }
}

pub(crate) async fn frame(
    socket: &mut TcpStream,
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &[u8],
) -> io::Result<()> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    socket.write_all(&frame).await
}

/// HPACK by hand: indexed `:status: 200`, and a literal without indexing for the rest.
pub(crate) fn answer(code: &str) -> Vec<u8> {
    let mut block = vec![0x88];
    for (name, value) in [("content-type", "application/grpc"), ("grpc-status", code)] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

async fn serve(
    mut socket: TcpStream,
    calls: mpsc::Sender<Vec<u8>>,
    acts: Arc<Mutex<Vec<Act>>>,
) -> io::Result<()> {
    let mut preface = [0; 24];
    socket.read_exact(&mut preface).await?;
    frame(&mut socket, SETTINGS, 0, 0, &[]).await?;
    let mut refused = HashSet::new();
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length as usize];
        socket.read_exact(&mut payload).await?;
        match head[3] {
            SETTINGS if head[4] & ACK == 0 => frame(&mut socket, SETTINGS, ACK, 0, &[]).await?,
            PING if head[4] & ACK == 0 => frame(&mut socket, PING, ACK, 0, &payload).await?,
            DATA if head[4] & END_STREAM != 0 && !refused.contains(&stream) => {
                let act = acts.lock().unwrap().pop().unwrap_or(Act::Answer);
                calls.send(payload).await.map_err(io::Error::other)?;
                match act {
                    Act::Answer => {
                        frame(
                            &mut socket,
                            HEADERS,
                            END_HEADERS | END_STREAM,
                            stream,
                            &answer("0"),
                        )
                        .await?;
                    }
                    Act::Unavailable => {
                        frame(
                            &mut socket,
                            HEADERS,
                            END_HEADERS | END_STREAM,
                            stream,
                            &answer("14"),
                        )
                        .await?;
                    }
                    Act::Refuse => {
                        frame(&mut socket, RST_STREAM, 0, stream, &7_u32.to_be_bytes()).await?;
                    }
                    Act::GoAwayBefore => {
                        refused.insert(stream);
                        let mut goaway = stream.saturating_sub(2).to_be_bytes().to_vec();
                        goaway.extend_from_slice(&0_u32.to_be_bytes());
                        frame(&mut socket, GOAWAY, 0, 0, &goaway).await?;
                    }
                    Act::Cut => return Ok(()),
                }
            }
            _ => {}
        }
    }
}

pub(crate) fn holds(body: &[u8], text: &str) -> bool {
    body.windows(text.len())
        .any(|window| window == text.as_bytes())
}

/// A device whose OnSocketCreated was answered.
async fn connect(gateway: &TestGateway, handler: &mut PlainHandler) -> Device {
    let device = gateway.device().await;
    handler.call().await;
    device
}

#[tokio::test]
async fn a_refused_stream_is_repeated() {
    let mut handler = PlainHandler::start(&[Act::Answer, Act::Refuse, Act::Refuse]).await;
    let gateway = TestGateway::with(handler.config()).await;
    let mut device = connect(&gateway, &mut handler).await;
    device.send("precious").await;
    for _ in 0..3 {
        assert!(holds(&handler.call().await, "precious"));
    }
    device.send("next").await;
    assert!(holds(&handler.call().await, "next"));
    assert!(handler.is_done());
}

#[tokio::test]
async fn a_call_that_a_goaway_excludes_is_repeated_and_the_endpoint_lives_on() {
    let mut handler = PlainHandler::start(&[Act::Answer, Act::GoAwayBefore]).await;
    let gateway = TestGateway::with(handler.config()).await;
    let mut device = connect(&gateway, &mut handler).await;
    device.send("precious").await;
    for _ in 0..2 {
        assert!(holds(&handler.call().await, "precious"));
    }
    device.send("next").await;
    assert!(
        holds(&handler.call().await, "next"),
        "no second OnSocketCreated came between"
    );
    let closed = gateway.metric("exproto_connections_closed_total{reason=\"handler_lost\"}");
    assert_eq!(closed.await, 0);
}

#[tokio::test]
async fn a_connection_that_breaks_off_ends_the_life_of_its_endpoint() {
    let mut handler = PlainHandler::start(&[Act::Answer, Act::Answer, Act::Cut]).await;
    let gateway = TestGateway::with(handler.config()).await;
    let mut idle = connect(&gateway, &mut handler).await;
    let mut busy = connect(&gateway, &mut handler).await;
    // Cut without a word on one of two connections: the other one says nothing of what became of the process.
    busy.send("x").await;
    busy.closed().await;
    idle.closed().await;
    until("both ends to be counted", async || {
        gateway
            .metric("exproto_connections_closed_total{reason=\"handler_lost\"}")
            .await
            == 2
    })
    .await;
}

#[tokio::test]
async fn a_call_that_may_have_been_seen_is_not_repeated() {
    for act in [Act::Cut, Act::Unavailable] {
        let mut handler = PlainHandler::start(&[Act::Answer, act]).await;
        let gateway = TestGateway::with(handler.config()).await;
        let mut device = connect(&gateway, &mut handler).await;
        device.send("once").await;
        assert!(holds(&handler.call().await, "once"));
        device.closed().await;
        assert!(
            holds(&handler.call().await, "handler_lost"),
            "OnSocketClosed comes next"
        );
        until("the end to be counted", async || {
            gateway
                .metric("exproto_connections_closed_total{reason=\"handler_lost\"}")
                .await
                == 1
        })
        .await;
    }
}

#[tokio::test]
async fn repeats_above_the_budget_wait_for_their_turn_and_are_made() {
    let mut handler =
        PlainHandler::start(&[Act::Answer, Act::Refuse, Act::Refuse, Act::Refuse]).await;
    let mut config = handler.config();
    config.handler.retry_budget.share = 0;
    config.handler.retry_budget.min_per_second = 1.try_into().unwrap();
    let gateway = TestGateway::with(config).await;
    let mut device = connect(&gateway, &mut handler).await;
    device.send("precious").await;
    for _ in 0..4 {
        assert!(holds(&handler.call().await, "precious"));
    }
    assert!(handler.is_done());
    let delayed = gateway
        .metric("exproto_callback_repeats_delayed_total")
        .await;
    assert!(delayed >= 1, "{delayed}");
}

#[tokio::test]
async fn whose_patience_ends_before_its_turn_is_closed() {
    let refusals = [Act::Refuse; 100];
    let mut handler = PlainHandler::start(&[&[Act::Answer][..], &refusals].concat()).await;
    let mut config = handler.config();
    config.handler.retry_budget.share = 0;
    config.handler.retry_budget.min_per_second = 1.try_into().unwrap();
    config.handler.park_timeout = std::time::Duration::from_millis(300);
    let gateway = TestGateway::with(config).await;
    let mut device = connect(&gateway, &mut handler).await;
    device.send("precious").await;
    device.closed().await;
    until("the end to be counted", async || {
        let unavailable = "exproto_connections_closed_total{reason=\"handler_unavailable\"}";
        gateway.metric(unavailable).await == 1
    })
    .await;
}
