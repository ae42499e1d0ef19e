//! What the ordered stream promises, with handlers as users write them: events and commands in order and once, whatever
//! breaks at whatever moment.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use exproto_handler::{Bytes, Conn, Handler, Outcome, Server};
use exproto_tests::{Device, Proxy, TestGateway, stream::stream_config, within};
use tokio::runtime::Runtime;

/// Devices of each test.
const DEVICES: usize = 8;
/// Bytes that each sends ahead of what came back.
const AHEAD: usize = 4096;

/// A handler that answers each event with its bytes, and can be killed.
struct Echoes {
    address: SocketAddr,
    opened: Arc<AtomicUsize>,
    runtime: Option<Runtime>,
}

struct Echo(Arc<AtomicUsize>);

impl Handler for Echo {
    async fn on_open(&mut self, _: &Conn) -> Outcome {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn on_bytes(&mut self, conn: &Conn, bytes: Bytes) -> Outcome {
        // In two commands, now and then with a pause between them: a step holds them together.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        conn.send(Bytes::copy_from_slice(first)).await?;
        if fastrand::u8(..) < 20 {
            tokio::task::yield_now().await;
        }
        conn.send(Bytes::copy_from_slice(second)).await?;
        Ok(())
    }
}

impl Echoes {
    fn start() -> Self {
        let mut echoes = Self {
            address: exproto_tests::free_address(),
            opened: Arc::default(),
            runtime: None,
        };
        echoes.serve();
        echoes
    }

    fn serve(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (address, opened) = (self.address, self.opened.clone());
        runtime.spawn(async move {
            loop {
                let opened = opened.clone();
                let server = Server::new(move |_: &Conn| Echo(opened.clone()));
                // The address may still be taken by the one that was killed.
                let _ = server.serve_until(address, std::future::pending()).await;
                tokio::task::yield_now().await;
            }
        });
        self.runtime = Some(runtime);
    }

    /// All at once, in the middle of whatever it does.
    fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Echoes {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends numbered bytes and looks at what comes back: exactly these, in order.
async fn converse(mut device: Device, total: usize, heard: Arc<AtomicUsize>) {
    let byte = |place: usize| u8::try_from(place % 251).unwrap();
    let (mut sent, mut received) = (0, 0);
    while received < total {
        let until = total.min(received + AHEAD);
        if sent < until {
            let length = fastrand::usize(1..=until - sent);
            let bytes: Vec<u8> = (sent..sent + length).map(byte).collect();
            device.send(bytes).await;
            sent += length;
        }
        let more = fastrand::usize(1..=(sent - received).min(700));
        for found in device.read(more).await {
            assert_eq!(found, byte(received), "byte {received}");
            received += 1;
        }
        heard.fetch_add(more, Ordering::SeqCst);
    }
    device.finish().await;
    assert!(device.read_to_end().await.is_empty());
}

/// Devices that converse while `disturb` does its worst.
async fn undisturbed(gateway: &TestGateway, total: usize, disturb: impl AsyncFnOnce(&AtomicUsize)) {
    let heard = Arc::new(AtomicUsize::new(0));
    let mut devices = tokio::task::JoinSet::new();
    for _ in 0..DEVICES {
        devices.spawn(converse(gateway.device().await, total, heard.clone()));
    }
    disturb(&heard).await;
    while let Some(done) = within("all bytes to come back", devices.join_next()).await {
        done.unwrap();
    }
    for reason in [
        "handler_lost",
        "handler_error",
        "handler_timeout",
        "handler_unavailable",
    ] {
        let series = format!("exproto_connections_closed_total{{reason=\"{reason}\"}}");
        assert_eq!(gateway.metric(&series).await, 0, "{reason}");
    }
}

/// Waits until the devices have heard so many more bytes.
async fn progress(heard: &AtomicUsize, more: usize) {
    let wanted = heard.load(Ordering::SeqCst) + more;
    exproto_tests::until("bytes to come back", async || {
        heard.load(Ordering::SeqCst) >= wanted
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cut_at_any_byte_loses_nothing() {
    const CUTS: usize = 40;
    let echoes = Echoes::start();
    let proxy = Proxy::start(echoes.address).await;
    let gateway = TestGateway::with(stream_config(&[proxy.address()])).await;
    undisturbed(&gateway, 400_000, async |heard| {
        for cut in 0..CUTS {
            progress(heard, 2_000).await;
            proxy.cut_after(fastrand::u64(0..20_000));
            exproto_tests::until("the cut", async || proxy.cuts() > cut).await;
        }
    })
    .await;
    // Their objects were never made anew: the handler still knew them.
    assert_eq!(echoes.opened.load(Ordering::SeqCst), DEVICES);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_killed_at_any_moment_loses_nothing() {
    const KILLS: usize = 15;
    let mut echoes = Echoes::start();
    let gateway = TestGateway::with(stream_config(&[echoes.address])).await;
    undisturbed(&gateway, 300_000, async |heard| {
        for _ in 0..KILLS {
            progress(heard, fastrand::usize(1..20_000)).await;
            echoes.kill();
            echoes.serve();
        }
    })
    .await;
    assert!(echoes.opened.load(Ordering::SeqCst) > DEVICES);
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_that_take_turns_lose_nothing() {
    const TURNS: usize = 12;
    let mut both = [Echoes::start(), Echoes::start()];
    let mut config = stream_config(&[both[0].address, both[1].address]);
    config.handler.connections_per_endpoint = 2;
    let gateway = TestGateway::with(config).await;
    undisturbed(&gateway, 300_000, async |heard| {
        for turn in 0..TURNS {
            progress(heard, fastrand::usize(1..20_000)).await;
            let echoes = &mut both[turn % 2];
            echoes.kill();
            progress(heard, 2_000).await;
            echoes.serve();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_leaves_while_its_handler_is_away_is_told_to_the_next() {
    let mut echoes = Echoes::start();
    let gateway = TestGateway::with(stream_config(&[echoes.address])).await;
    let mut device = gateway.device().await;
    device.send("x").await;
    assert_eq!(device.read(1).await, b"x");
    echoes.kill();
    device.send("last words").await;
    drop(device);
    echoes.serve();
    let series = "exproto_connections_closed_total{reason=\"tcp_closed\"}";
    gateway.is(series, 1).await;
    assert!(
        !gateway
            .http("/metrics")
            .await
            .contains("exproto_closes_untold_total{")
    );
}
