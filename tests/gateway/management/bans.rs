//! Bans: added, listed, lifted.

use std::collections::BTreeSet;

use proto::exproto::ResultCode;
use serde_json::json;

use super::Managed;
use crate::calls::{Calls, client, connect, ok, refused};

#[tokio::test]
async fn a_ban_closes_the_device_and_keeps_it_out_until_it_is_lifted() {
    let managed = Managed::start().await;
    let (gateway, handler) = (&managed.gateway, &managed.handler);
    let (_device, _) = client(gateway, handler, "a").await;
    let body = r#"{"who": "clientid:a", "duration": "1h", "reason": "lost"}"#;
    let (status, ban) = managed.ask("POST", "/api/v1/bans", body).await;
    assert_eq!(status, 201, "{ban}");
    assert_eq!(handler.closed().await, "banned");
    let (_device, mut calls) = connect(gateway, handler).await;
    refused(
        &calls.authenticate("a").await,
        ResultCode::PermissionDeny,
        "lost",
    );
    assert_eq!(managed.get("/api/v1/bans/clientid:a").await, ban);
    let (status, _) = managed.ask("DELETE", "/api/v1/bans/clientid:a", "").await;
    assert_eq!(status, 200);
    ok(&calls.authenticate("a").await);

    let body = r#"{"who": "127.0.0.0/8", "until": "2090-01-01T00:00:00Z"}"#;
    let (status, ban) = managed.ask("POST", "/api/v1/bans", body).await;
    assert_eq!(status, 201);
    assert_eq!(
        ban,
        json!({"who": "127.0.0.0/8", "until": "2090-01-01T00:00:00Z", "reason": "", "of_file": false})
    );
    assert_eq!(handler.closed().await, "banned");
    let mut out = gateway.device().await;
    out.closed().await;
    assert_eq!(managed.all("bans", "").await, [ban]);
    let (status, _) = managed
        .ask("DELETE", "/api/v1/bans/127.0.0.0%2F8", "")
        .await;
    assert_eq!(status, 200);
    let _device = gateway.device().await;
    let conn = handler.created().await;
    ok(&Calls::new(gateway, &conn).send("x").await);
}

#[tokio::test]
async fn pages_of_bans_show_each_once() {
    let managed = Managed::with(|config| {
        config.bans.list = vec![config::Ban {
            who: "10.9.9.9".parse().unwrap(),
            until: None,
            reason: "file".to_owned(),
        }];
    })
    .await;
    for number in 0..25 {
        let body = format!(r#"{{"who": "10.0.0.{number}", "duration": "forever"}}"#);
        assert_eq!(managed.ask("POST", "/api/v1/bans", &body).await.0, 201);
    }
    let all = managed.all("bans", "limit=4").await;
    let who: BTreeSet<_> = all.iter().map(|ban| ban["who"].to_string()).collect();
    assert_eq!((all.len(), who.len()), (26, 26));
    let of_file = all.iter().filter(|ban| ban["of_file"] == true);
    assert_eq!(of_file.count(), 1);
}
