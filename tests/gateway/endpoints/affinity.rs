//! Which endpoint a connection goes to, and what moves when one comes.

use std::{collections::HashMap, net::Ipv4Addr};

use config::Affinity;
use exproto_tests::{
    Callback, Carrier, Credentials, Device, Event, TestGateway, TestHandler, gateway::config, until,
};

use super::{READY, from, homes, still_at};

/// The third endpoint comes while devices are connected.
async fn with_a_third(
    affinity: Affinity,
    third: &TestHandler,
    first: [&TestHandler; 2],
) -> TestGateway {
    let mut config = config(&[first[0], first[1]]);
    config.handler.affinity = affinity;
    let gateway = TestGateway::with(config).await;
    gateway.is(READY, 2).await;
    assert_ne!(third.address(), first[0].address());
    gateway
}

async fn add(third: &TestHandler, gateway: &TestGateway) {
    gateway.reconfigure(|config| {
        config.handler.addresses.push(third.url().parse().unwrap());
    });
    gateway.is(READY, 3).await;
}

/// Where each address is at home: the connection, and the place of its handler.
async fn by_address(handlers: &[&TestHandler], count: usize) -> HashMap<String, (String, usize)> {
    let mut homes = HashMap::new();
    until("all connections to be told of", async || {
        for (place, handler) in handlers.iter().enumerate() {
            while let Some(Callback { conn, event, .. }) = handler.try_next() {
                let Event::Created(info) = event else {
                    panic!("{event:?}");
                };
                homes.insert(info.peername.unwrap().host, (conn, place));
            }
        }
        homes.len() == count
    })
    .await;
    homes
}

#[tokio::test]
async fn the_third_endpoint_takes_its_share_of_what_is_new_and_nothing_else() {
    const DEVICES: usize = 600;
    let (a, b, c) = (
        TestHandler::start(),
        TestHandler::start(),
        TestHandler::start(),
    );
    let all = [&a, &b, &c];
    let gateway = with_a_third(Affinity::ClientIp, &c, [&a, &b]).await;
    let addresses = || (0..3).flat_map(|n| (1..=200).map(move |m| Ipv4Addr::new(127, 1, n, m)));
    let mut old: Vec<Device> = Vec::new();
    for ip in addresses() {
        old.push(from(ip, &gateway).await);
    }
    let before = by_address(&all, DEVICES).await;
    add(&c, &gateway).await;
    // From the same addresses once more.
    let mut new = Vec::new();
    for ip in addresses() {
        new.push(from(ip, &gateway).await);
    }
    let after = by_address(&all, DEVICES).await;
    let moved = after.iter().filter(|(ip, (_, place))| {
        let (_, was) = before[*ip];
        assert!(
            *place == was || *place == 2,
            "from one old endpoint to the other"
        );
        *place != was
    });
    let share = moved.count() * 100 / DEVICES;
    println!("the third endpoint took {share} % of {DEVICES} new connections");
    // A third, and a deviation of 2.
    assert!((25..=40).contains(&share), "{share} % of what is new moved");
    let homes = before.into_values().collect();
    still_at(&mut old, &all, &homes).await;
    println!("of {DEVICES} connections that stood, 0 moved");
}

#[tokio::test]
async fn connections_are_spread_over_what_is_there() {
    const DEVICES: usize = 200;
    let (a, b, c) = (
        TestHandler::start(),
        TestHandler::start(),
        TestHandler::start(),
    );
    let gateway = with_a_third(Affinity::Connection, &c, [&a, &b]).await;
    let mut old = Vec::new();
    for _ in 0..DEVICES {
        old.push(gateway.device().await);
    }
    let all = [&a, &b, &c];
    let home = homes(&all, DEVICES).await;
    add(&c, &gateway).await;
    let mut new = Vec::new();
    for _ in 0..DEVICES {
        new.push(gateway.device().await);
    }
    let at_third = homes(&all, DEVICES).await.into_values();
    let share = at_third.filter(|place| *place == 2).count() * 100 / DEVICES;
    println!("the third endpoint took {share} % of {DEVICES} new connections");
    // Chance: a third, and a deviation of 3.3.
    assert!((18..=49).contains(&share), "{share} %");
    still_at(&mut old, &all, &home).await;
}

#[tokio::test]
async fn with_none_the_fewest_connections_decide() {
    let (a, b, c) = (
        TestHandler::start(),
        TestHandler::start(),
        TestHandler::start(),
    );
    let gateway = with_a_third(Affinity::None, &c, [&a, &b]).await;
    add(&c, &gateway).await;
    let mut devices = Vec::new();
    for _ in 0..30 {
        devices.push(gateway.device().await);
    }
    let homes = homes(&[&a, &b, &c], 30).await;
    for place in 0..3 {
        let count = homes.values().filter(|each| **each == place).count();
        assert_eq!(count, 10, "{homes:?}");
    }
}

#[tokio::test]
async fn a_device_with_a_certificate_comes_back_to_its_endpoint() {
    let (a, b) = (TestHandler::start(), TestHandler::start());
    let credentials = Credentials::default();
    let mut config = Carrier::Tls.config(&[&a, &b], &credentials);
    config.handler.affinity = Affinity::ClientId;
    config.listeners[0].tls.verify = config::Verify::Required;
    config.listeners[0].tls.ca_file = Some(credentials.pki.ca_file());
    let gateway = TestGateway::with(config).await;
    gateway.is(READY, 2).await;
    let mut places = Vec::new();
    for n in 0..20 {
        let files = credentials.pki.client(&format!("device-{n}"));
        let mut mine = Vec::new();
        for _ in 0..3 {
            let address = gateway.device_address();
            let device = Carrier::Tls.try_connect(address, &credentials, Some(&files));
            let mut device = device.await.unwrap();
            mine.extend(homes(&[&a, &b], 1).await.into_values());
            device.send("x").await;
            let handler = [&a, &b][mine[0]];
            handler.received(1).await;
            drop(device);
            handler.closed().await;
        }
        assert!(mine.iter().all(|place| *place == mine[0]), "{mine:?}");
        places.push(mine[0]);
    }
    // All at one of two: one in 500,000.
    assert!(places.contains(&0) && places.contains(&1), "{places:?}");
}
