//! A name that stands for all endpoints: real questions to a real server, whose answers change, flap and fail.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use config::Config;
use exproto_tests::{TestGateway, TestHandler, free_address, gateway::config, until};
use hickory_server::{
    Server,
    net::runtime::Time,
    proto::{
        op::{Header, HeaderCounts, Metadata, ResponseCode},
        rr::{
            RData, Record, RecordType,
            rdata::{A, AAAA},
        },
    },
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use tokio::net::{TcpListener, UdpSocket};

use super::{READY, TOTAL, homes};
use crate::calls::connect;

const NAME: &str = "handler.test.";

/// What the server says to a question for A; AAAA has none.
#[derive(Clone, Debug)]
enum Answer {
    Addresses(Vec<Ipv4Addr>),
    Error(ResponseCode),
    /// Addresses of one family, and an error for the other.
    Half(Vec<Ipv4Addr>),
    Nothing,
}

#[derive(Clone)]
struct Zone(Arc<Mutex<Answer>>);

#[tonic::async_trait]
impl RequestHandler for Zone {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut handle: R,
    ) -> ResponseInfo {
        let asked = request.request_info().unwrap();
        let kind = asked.query.query_type();
        let name = asked.query.name().into();
        assert!(matches!(kind, RecordType::A | RecordType::AAAA), "{kind}");
        let answer = self.0.lock().unwrap().clone();
        let mut metadata = Metadata::response_from_request(&request.metadata);
        let (code, ips) = match answer {
            Answer::Addresses(ips) => (ResponseCode::NoError, ips),
            Answer::Error(code) => (code, vec![]),
            Answer::Half(ips) if kind == RecordType::A => (ResponseCode::NoError, ips),
            Answer::Half(_) => (ResponseCode::ServFail, vec![]),
            Answer::Nothing => {
                let counts = HeaderCounts::default();
                return Header { metadata, counts }.into();
            }
        };
        metadata.response_code = code;
        let data = |ip: Ipv4Addr| match kind {
            RecordType::A => Some(RData::A(A(ip))),
            // Where a system has no IPv6 an address still may.
            _ => ip
                .is_private()
                .then(|| RData::AAAA(AAAA(ip.to_ipv6_mapped()))),
        };
        let records: Vec<_> = ips
            .into_iter()
            .filter_map(data)
            .map(|data| Record::from_rdata(Clone::clone(&name), 0, data))
            .collect();
        let response = MessageResponseBuilder::from_message_request(request);
        let none: [&Record; 0] = [];
        let response = response.build(metadata, &records, none, none, none);
        handle.send_response(response).await.unwrap()
    }
}

/// A server of DNS, and handlers that all have the same port.
struct Site {
    _server: Server<Zone>,
    address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    port: u16,
}

impl Site {
    async fn start(answer: Answer) -> Self {
        let answer = Arc::new(Mutex::new(answer));
        let mut server = Server::new(Zone(answer.clone()));
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = udp.local_addr().unwrap();
        server.register_socket(udp);
        if let Ok(tcp) = TcpListener::bind(address).await {
            server.register_listener(tcp, Duration::from_secs(5), 16);
        }
        Self {
            _server: server,
            address,
            answer,
            port: free_address().port(),
        }
    }

    fn handler(&self, ip: Ipv4Addr) -> TestHandler {
        TestHandler::start_at(SocketAddr::from((ip, self.port)))
    }

    fn says(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn config(&self) -> Config {
        let mut config = config(&[]);
        let dns = &mut config.handler.dns;
        dns.name = Some(NAME.parse().unwrap());
        dns.port = self.port;
        dns.nameservers = vec![self.address.to_string().parse().unwrap()];
        dns.refresh_min = Duration::from_millis(10);
        dns.refresh_max = Duration::from_millis(40);
        dns.timeout = Duration::from_millis(200);
        config.handler.removal_grace = Duration::ZERO;
        config
    }
}

fn ip(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 3, n)
}

fn resolutions(outcome: &str) -> String {
    format!("exproto_handler_resolutions_total{{outcome=\"{outcome}\"}}")
}

/// Waits until the server was asked twice more, so that an answer of before has come and gone.
async fn asked_again(gateway: &TestGateway, outcome: &str) {
    let series = resolutions(outcome);
    let before = gateway.metric(&series).await;
    gateway.counts(&series, before + 2).await;
}

#[tokio::test]
async fn replicas_come_and_go_with_the_answer() {
    let site = Site::start(Answer::Addresses(vec![ip(1)])).await;
    let (a, b) = (site.handler(ip(1)), site.handler(ip(2)));
    let gateway = TestGateway::with(site.config()).await;
    let (mut device, _) = connect(&gateway, &a).await;
    site.says(Answer::Addresses(vec![ip(2), ip(1), ip(2)]));
    gateway.is(READY, 2).await;
    let mut devices = Vec::new();
    for _ in 0..20 {
        devices.push(gateway.device().await);
    }
    let at_b = homes(&[&a, &b], 20).await.into_values();
    assert!(at_b.filter(|place| *place == 1).count() > 0);
    device.send("still here").await;
    assert_eq!(a.received(10).await, b"still here");
    site.says(Answer::Addresses(vec![ip(2)]));
    device.closed().await;
    gateway.is(TOTAL, 1).await;
    until("nobody to be bound to it", async || {
        !gateway.http("/metrics").await.contains(&a.url())
    })
    .await;
}

#[tokio::test]
async fn an_answer_without_addresses_takes_nothing_away() {
    let site = Site::start(Answer::Addresses(vec![ip(11), ip(12)])).await;
    let (a, b) = (site.handler(ip(11)), site.handler(ip(12)));
    let gateway = TestGateway::with(site.config()).await;
    gateway.is(READY, 2).await;
    let mut devices = [gateway.device().await];
    let home = homes(&[&a, &b], 1).await;
    for (answer, outcome, said) in [
        (
            Answer::Addresses(vec![]),
            "empty",
            "handler.test.: the answer holds no address",
        ),
        (
            Answer::Error(ResponseCode::NXDomain),
            "empty",
            "the answer holds no address",
        ),
        (
            Answer::Error(ResponseCode::ServFail),
            "failed",
            "handler.test.: ",
        ),
        (Answer::Half(vec![ip(11)]), "failed", "handler.test.: "),
        (Answer::Nothing, "failed", "handler.test.: "),
    ] {
        let shown = format!("{answer:?}");
        site.says(answer);
        asked_again(&gateway, outcome).await;
        assert_eq!(gateway.metric(READY).await, 2, "{shown}");
        let ready = gateway.http("/readyz").await;
        assert!(
            ready.starts_with("HTTP/1.1 200") && ready.contains(said),
            "{shown}: {ready}"
        );
        super::still_at(&mut devices, &[&a, &b], &home).await;
    }
    site.says(Answer::Addresses(vec![ip(11), ip(12)]));
    asked_again(&gateway, "answered").await;
    assert!(!gateway.http("/readyz").await.contains(NAME));
}

#[tokio::test]
async fn an_address_that_flaps_loses_no_connection() {
    let site = Site::start(Answer::Addresses(vec![ip(21)])).await;
    let (a, _b) = (site.handler(ip(21)), site.handler(ip(22)));
    let mut config = site.config();
    config.handler.removal_grace = Duration::from_secs(3600);
    let gateway = TestGateway::with(config).await;
    let (mut device, _) = connect(&gateway, &a).await;
    for _ in 0..5 {
        for there in [vec![ip(22)], vec![ip(21), ip(22)]] {
            let count = there.len() as u64;
            site.says(Answer::Addresses(there));
            gateway.is(TOTAL, count).await;
        }
    }
    device.send("still here").await;
    assert_eq!(a.received(10).await, b"still here");
}

#[tokio::test]
async fn a_name_that_nobody_knows_parks_devices_until_somebody_does() {
    let site = Site::start(Answer::Error(ResponseCode::NXDomain)).await;
    let gateway = TestGateway::with(site.config()).await;
    let mut device = gateway.device().await;
    device.send("patience").await;
    gateway.is("exproto_callbacks_parked", 1).await;
    let ready = gateway.http("/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    let a = site.handler(ip(31));
    site.says(Answer::Addresses(vec![ip(31)]));
    a.created().await;
    assert_eq!(a.received(8).await, b"patience");
}

#[tokio::test]
async fn of_too_many_addresses_the_same_ones_are_left_out() {
    let site = Site::start(Answer::Addresses((41..=60).map(ip).collect())).await;
    let mut config = site.config();
    config.handler.max_endpoints = 3;
    let gateway = TestGateway::with(config).await;
    gateway.is(TOTAL, 3).await;
    site.says(Answer::Addresses((41..=60).rev().map(ip).collect()));
    asked_again(&gateway, "answered").await;
    assert_eq!(gateway.metric(TOTAL).await, 3);
    let all = gateway.http("/metrics").await;
    for n in 41..=43 {
        assert!(all.contains(&format!("//{}:", ip(n))), "{all}");
    }
}

#[tokio::test]
async fn both_families_are_asked_for() {
    let site = Site::start(Answer::Addresses(vec![Ipv4Addr::new(10, 255, 255, 1)])).await;
    let gateway = TestGateway::with(site.config()).await;
    // A, and an AAAA that is the same address, mapped: one endpoint.
    gateway.counts(&resolutions("answered"), 1).await;
    assert_eq!(gateway.metric(TOTAL).await, 1);
}
