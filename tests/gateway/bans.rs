//! Bans: by themselves after failures, and by a list; both end.

use std::time::Duration;

use exproto_tests::{
    Carrier, Credentials, Device, TestGateway, TestHandler, gateway::authenticating, until,
};
use proto::exproto::ResultCode;

use crate::{
    calls::{Calls, refused},
    hostile::gateway,
    setting::series,
};

#[tokio::test]
async fn an_address_that_fails_too_often_is_banned_for_a_time() {
    for carrier in [Carrier::Tls, Carrier::Psk, Carrier::Ws, Carrier::Wss] {
        let handler = TestHandler::start();
        let (gateway, credentials) = gateway(carrier, &handler, |config| {
            config.bans.duration = Duration::from_secs(2);
            config.bans.failure_rate = Some(config::Rate {
                amount: 3,
                period: Duration::from_secs(3600),
            });
        })
        .await;
        let address = gateway.device_address();
        let banned = series("exproto_connections_refused_total", "banned");
        let mut tries = 0;
        while gateway.metric(&banned).await == 0 {
            let mut device = Device::connect(address).await;
            let _ = device.try_send(b"? ? ?\r\n\r\n").await;
            device.closed().await;
            tries += 1;
            assert!(tries < 50, "never banned");
        }
        assert!(tries > 3, "banned after {tries}");
        until("the ban to end", async || {
            carrier
                .try_connect(address, &credentials, None)
                .await
                .is_ok()
        })
        .await;
    }
}

#[tokio::test]
async fn a_dtls_device_that_fails_too_often_is_banned() {
    let handler = TestHandler::start();
    let (gateway, credentials) = gateway(Carrier::DtlsPsk, &handler, |config| {
        config.bans.failure_rate = Some(config::Rate {
            amount: 3,
            period: Duration::from_secs(3600),
        });
    })
    .await;
    let address = gateway.device_address();
    let banned = series("exproto_connections_refused_total", "banned");
    // It has no shared key, brings its cookie back, and is refused with an alert.
    let stranger = tokio::spawn(async move {
        while Carrier::Dtls
            .try_connect(address, &credentials, None)
            .await
            .is_err()
        {}
    });
    gateway.counts(&banned, 1).await;
    stranger.abort();
}

#[tokio::test]
async fn a_ban_in_the_list_ends_when_it_says() {
    let handler = TestHandler::start();
    let until_then = std::time::SystemTime::now() + Duration::from_secs(6);
    let (gateway, credentials) = gateway(Carrier::Tls, &handler, |config| {
        config.bans.list = vec![config::Ban {
            who: "127.0.0.0/8".parse().unwrap(),
            until: Some(config::Until(until_then)),
            reason: String::new(),
        }];
    })
    .await;
    let address = gateway.device_address();
    let refused = Carrier::Tls.try_connect(address, &credentials, None).await;
    assert!(refused.is_err());
    until("the ban to end", async || {
        Carrier::Tls
            .try_connect(address, &credentials, None)
            .await
            .is_ok()
    })
    .await;
}

#[tokio::test]
async fn whoever_guesses_passwords_is_banned() {
    let handler = TestHandler::start();
    let mut config = Carrier::Tcp.config(&[&handler], &Credentials::default());
    config.bans.failure_rate = Some(config::Rate {
        amount: 3,
        period: Duration::from_secs(3600),
    });
    let nobody = tempfile::NamedTempFile::new().unwrap();
    let chain = format!("{{file: {{path: {}}}}}", nobody.path().display());
    let gateway = TestGateway::with(authenticating(config, &chain)).await;
    let _device = gateway.device().await;
    let conn = handler.created().await;
    let mut calls = Calls::new(&gateway, &conn);
    for _ in 0..3 {
        let answer = calls.authenticate("device-7").await;
        refused(
            &answer,
            ResultCode::PermissionDeny,
            "bad username or password",
        );
    }
    calls.authenticate("device-7").await;
    assert_eq!(handler.closed().await, "banned");
}
