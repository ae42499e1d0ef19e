//! Connections that come back, and those that others have had.

use std::time::Duration;

use exproto_handler::{ClientInfo, Conn};
use proto::stream::Attach;
use tonic::Code;

use crate::{
    Kit,
    pod::{Lane, again, first, hello},
    told,
};

#[tokio::test]
async fn an_object_that_is_replaced_ends_without_a_word() {
    let mut kit = Kit::serve(|conn: Conn, word, log| async move {
        if word == "login" {
            let info = ClientInfo::default();
            log.say(told(&conn.authenticate(info, "", None).await));
            log.say(told(&conn.send("I am still here").await));
        }
        Ok(())
    })
    .await;
    let mut lane = Lane::open(kit.address).await;
    lane.attach(first(1)).await;
    lane.bytes(1, 1, &["login", "late"]).await;
    lane.until(|lane| lane.commands(1).next().cloned()).await;
    // Another process has acted for it since.
    lane.attach(Attach {
        acknowledged: 2,
        commands_accepted: 5,
        commands_done: 5,
        ..again(1, 2, "another")
    })
    .await;
    lane.close(1, 3).await;
    lane.until_acked(1, 3).await;
    kit.says("open").await;
    kit.says("login").await;
    let mut said = Vec::new();
    while said.len() < 5 {
        said.push(crate::soon("the log", kit.heard.recv()).await.unwrap());
    }
    said.extend(kit.rest());
    said.sort();
    assert_eq!(said, ["close", "gone", "gone", "open", "tcp_closed"]);
    assert_eq!(lane.commands(1).count(), 1);
}

#[tokio::test]
async fn a_lost_last_acknowledgement_is_said_again() {
    let mut kit = Kit::serve(|conn: Conn, word, log| async move {
        if word == "close" {
            log.say(told(&conn.raw_publish("gone/1", "bye", 1).await));
        }
        Ok(())
    })
    .await;
    let mut lane = Lane::open(kit.address).await;
    lane.attach(first(1)).await;
    lane.close(1, 1).await;
    lane.until_acked(1, 1).await;
    let instance = lane.instance.clone();
    drop(lane);
    let mut lane = Lane::open(kit.address).await;
    lane.attach(again(1, 2, &instance)).await;
    lane.close(1, 1).await;
    lane.until_acked(1, 1).await;
    let published: Vec<_> = lane.commands(1).collect();
    assert_eq!(
        (published.len(), published[0].seq, published[0].result),
        (1, 1, false)
    );
    assert_eq!(kit.rest(), ["open", "tcp_closed", "close", "ok"]);
}

#[tokio::test]
async fn a_publication_by_nobody_goes_with_the_last_acknowledgement() {
    let mut kit = Kit::serve(|conn: Conn, word, log| async move {
        if word == "close" {
            log.say(told(&conn.send("nobody reads this").await));
            log.say(told(&conn.publish("a", "b", 0).await));
            log.say(told(&conn.raw_publish("gone/1", "bye", 1).await));
        }
        Ok(())
    })
    .await;
    let mut lane = Lane::open(kit.address).await;
    lane.attach(first(1)).await;
    lane.close(1, 1).await;
    lane.until_acked(1, 1).await;
    assert_eq!(kit.rest()[3..], ["ok", "gone", "ok"]);
    let batch = lane.batches.iter().find(|batch| !batch.acks.is_empty());
    assert_eq!(batch.unwrap().commands.len(), 1);
}

#[tokio::test]
async fn a_pod_that_starts_again_counts_also_where_its_clock_went_back() {
    let mut kit = Kit::serve(|_, _, _| async { Ok(()) }).await;
    let mut old = Lane::open(kit.address).await;
    old.attach(first(1)).await;
    kit.says("open").await;
    let mut earlier = hello();
    earlier.epoch -= 1;
    let mut lane = Lane::with(kit.address, earlier).await.unwrap();
    kit.says("detached").await;
    kit.says("close").await;
    lane.attach(first(1)).await;
    lane.bytes(1, 1, &["hello"]).await;
    lane.until_acked(1, 1).await;
    assert_eq!(kit.rest(), ["open", "hello"]);
    let ended = loop {
        if let Err(status) = old.next().await {
            break status;
        }
    };
    assert_eq!(ended.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn a_gap_in_the_events_ends_that_connection_alone() {
    let mut kit = Kit::serve(|_, _, _| async { Ok(()) }).await;
    let mut lane = Lane::open(kit.address).await;
    lane.attach(first(1)).await;
    lane.attach(first(2)).await;
    lane.bytes(1, 3, &["early"]).await;
    let ack = lane.until_failed(1).await;
    assert_eq!(ack.error, "event 3 came where 1 is the next");
    lane.bytes(2, 1, &["fine"]).await;
    lane.until_acked(2, 1).await;
    lane.close(1, 4).await;
    lane.until_acked(1, 4).await;
    assert_eq!(kit.rest(), ["open", "open", "fine", "tcp_closed", "close"]);
}

#[tokio::test]
async fn an_attach_that_is_read_late_takes_nothing_back() {
    let mut kit = Kit::serve(|_, _, _| async { Ok(()) }).await;
    let old = Lane::open(kit.address).await;
    let mut lane = Lane::open(kit.address).await;
    lane.attach(again(1, 2, &lane.instance)).await;
    kit.says("open").await;
    old.attach(first(1)).await;
    old.bytes(1, 1, &["stale"]).await;
    // That has been read where one behind it has.
    old.attach(first(2)).await;
    kit.says("open").await;
    lane.bytes(1, 1, &["fresh"]).await;
    lane.until_acked(1, 1).await;
    assert_eq!(kit.rest(), ["fresh"]);
}

#[tokio::test]
async fn what_does_not_come_back_is_closed_as_detached() {
    let brief = Duration::from_millis(1);
    let mut kit = Kit::serve_as(
        |server| server.detached_timeout(brief),
        |_, _, _| async { Ok(()) },
    )
    .await;
    let lane = Lane::open(kit.address).await;
    lane.attach(first(1)).await;
    kit.says("open").await;
    drop(lane);
    kit.says("detached").await;
}

#[tokio::test]
async fn a_lane_that_ends_leaves_alone_what_has_moved_to_another() {
    let brief = Duration::from_millis(1);
    let mut kit = Kit::serve_as(
        |server| server.detached_timeout(brief),
        |_, _, _| async { Ok(()) },
    )
    .await;
    let old = Lane::open(kit.address).await;
    let mut lane = Lane::open(kit.address).await;
    old.attach(first(1)).await;
    old.attach(first(2)).await;
    kit.says("open").await;
    kit.says("open").await;
    lane.attach(again(1, 2, &lane.instance)).await;
    lane.bytes(1, 1, &["moved"]).await;
    lane.until_acked(1, 1).await;
    kit.says("moved").await;
    drop(old);
    // That is the other one.
    kit.says("detached").await;
    kit.says("close").await;
    lane.bytes(1, 2, &["still here"]).await;
    lane.until_acked(1, 2).await;
    assert_eq!(kit.rest(), ["still here"]);
}
