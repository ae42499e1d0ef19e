//! Many that want the same clientid: one has it, others are served, and nothing is left of the rest.

use std::{collections::BTreeMap, iter};

use exproto_tests::{Callback, Device, Event, TestGateway, TestHandler, until, within};
use proto::exproto::{
    AuthenticateRequest, ClientInfo, CodeResponse, ResultCode,
    connection_adapter_client::ConnectionAdapterClient,
};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::calls::{Calls, client, ok};

/// A gateway, and a client that has nothing to do with the others.
struct Setting {
    handler: TestHandler,
    gateway: TestGateway,
    /// One HTTP/2 connection, as a handler has it.
    adapter: ConnectionAdapterClient<Channel>,
    bystander: (Device, Calls),
    discarded: usize,
}

impl Setting {
    async fn new() -> Self {
        let handler = TestHandler::start();
        let gateway = TestGateway::start(&handler).await;
        let bystander = client(&gateway, &handler, "bystander").await;
        Self {
            adapter: gateway.adapter(),
            handler,
            gateway,
            bystander,
            discarded: 0,
        }
    }

    /// A device, and its connection. Whatever else happens meanwhile is that others are discarded.
    async fn connect(&mut self) -> (Device, String) {
        let device = self.gateway.device().await;
        loop {
            let callback = self.handler.next().await;
            if matches!(callback.event, Event::Created(_)) {
                return (device, callback.conn);
            }
            self.note(&callback);
        }
    }

    fn note(&mut self, callback: &Callback) {
        assert_eq!(callback.event, Event::Closed("discarded".to_owned()));
        self.discarded += 1;
    }

    async fn all_discarded(&mut self, count: usize) {
        while self.discarded < count {
            let callback = self.handler.next().await;
            self.note(&callback);
        }
        assert_eq!(self.discarded, count);
    }

    /// The other client is heard, and hears.
    async fn serves_the_bystander(&mut self) {
        let (device, calls) = &mut self.bystander;
        device.send("ping").await;
        loop {
            let callback = self.handler.next().await;
            if callback.event == Event::Received("ping".into()) {
                assert_eq!(callback.conn, calls.conn);
                break;
            }
            assert_eq!(callback.event, Event::Closed("discarded".to_owned()));
            self.discarded += 1;
        }
        ok(&calls.send("pong").await);
        assert_eq!(device.read(4).await, b"pong");
    }

    /// All gauges, with their values.
    async fn gauges(&self) -> BTreeMap<String, String> {
        let all = self.gateway.http("/metrics").await;
        let (_, all) = all.split_once("\r\n\r\n").unwrap();
        let gauges: Vec<_> = all
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" gauge"))
            .collect();
        let is_gauge = |series: &str| gauges.contains(&series.split('{').next().unwrap_or(series));
        all.lines()
            .filter_map(|line| line.rsplit_once(' '))
            // What the gateway has learned of the handler's pace is no remainder.
            .filter(|(series, _)| is_gauge(series) && !series.contains("state=\"limit\""))
            .map(|(series, value)| (series.to_owned(), value.to_owned()))
            .collect()
    }
}

async fn takes_over(
    mut adapter: ConnectionAdapterClient<Channel>,
    conn: String,
) -> (String, CodeResponse) {
    let request = AuthenticateRequest {
        conn: conn.clone(),
        clientinfo: Some(ClientInfo {
            clientid: "the one".to_owned(),
            ..ClientInfo::default()
        }),
        password: String::new(),
    };
    let answer = within("an answer", adapter.authenticate(request)).await;
    (conn, answer.unwrap().into_inner())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_takeovers_of_one_clientid_leave_one_connection_and_nothing_else() {
    const TAKEOVERS: usize = 10_000;
    let mut it = Setting::new().await;
    let (mut device, conn) = it.connect().await;
    ok(&takes_over(it.adapter.clone(), conn).await.1);
    let before = it.gauges().await;
    let open = "exproto_connections{listener=\"tcp\"}";
    assert_eq!(before[open], "2", "{before:?}");
    for number in 1..=TAKEOVERS {
        let (next, conn) = it.connect().await;
        ok(&takes_over(it.adapter.clone(), conn).await.1);
        device.closed().await;
        device = next;
        if number % 1_000 == 0 {
            it.serves_the_bystander().await;
        }
    }
    it.all_discarded(TAKEOVERS).await;
    until("what was before", async || it.gauges().await == before).await;
    // The last one is the client, and its clientid is free when it goes.
    drop(device);
    assert_eq!(it.handler.closed().await, "tcp_closed");
    it.gateway.is(open, 1).await;
    it.serves_the_bystander().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_hundred_at_once_leave_one_connection_and_nothing_else() {
    const RIVALS: usize = 500;
    let mut it = Setting::new().await;
    let (first, conn) = it.connect().await;
    ok(&takes_over(it.adapter.clone(), conn).await.1);
    let before = it.gauges().await;
    let mut devices = vec![first];
    let mut conns = Vec::new();
    for _ in 0..RIVALS {
        let (device, conn) = it.connect().await;
        devices.push(device);
        conns.push(conn);
    }
    let adapters = iter::repeat_with(|| it.adapter.clone());
    let rivals: JoinSet<_> = conns
        .into_iter()
        .zip(adapters)
        .map(|(conn, adapter)| takes_over(adapter, conn))
        .collect();
    it.serves_the_bystander().await;
    let mut winners = Vec::new();
    for (conn, answer) in rivals.join_all().await {
        match answer.code() {
            ResultCode::Success => winners.push(conn),
            // Another one came before it had begun, or was done.
            ResultCode::ConnProcessNotAlive => {}
            _ => panic!("{answer:?}"),
        }
    }
    // The first, and all rivals but one.
    it.all_discarded(RIVALS).await;
    let mut alive = 0;
    for conn in &winners {
        let mut calls = Calls::new(&it.gateway, conn);
        alive += usize::from(calls.try_send("x").await);
    }
    assert_eq!(alive, 1);
    until("what was before", async || it.gauges().await == before).await;
    it.serves_the_bystander().await;
    drop(devices);
}
