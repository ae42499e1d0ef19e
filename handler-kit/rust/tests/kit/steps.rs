//! What a step promises.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use exproto_handler::{ClientInfo, Conn, MAX_STATE, Outcome};
use proto::stream::command::Kind;
use tokio::sync::Notify;

use crate::{
    Kit, Log,
    pod::{Lane, again, first},
    told,
};

/// Fails where that is the word.
fn fail_on(word: &str, what: &str) -> Ready<Outcome> {
    let fails = word == what;
    let outcome = if fails {
        Err(format!("{what} is not for me").into())
    } else {
        Ok(())
    };
    ready(outcome)
}

#[tokio::test]
async fn a_failed_step_whose_lane_is_lost_is_told_on_the_next() {
    let gate = Arc::new(Notify::new());
    let opened = gate.clone();
    let mut kit = Kit::serve(move |conn, word, log| {
        let gate = gate.clone();
        async move {
            if word == "bad" {
                gate.notified().await;
                // The lane is lost meanwhile.
                let sent = conn.send("so far").await;
                log.say(told(&sent));
            }
            fail_on(&word, "bad").await
        }
    })
    .await;
    let lane = Lane::open(kit.address).await;
    lane.attach(first(1)).await;
    lane.bytes(1, 1, &["bad"]).await;
    kit.says("open").await;
    kit.says("bad").await;
    let instance = lane.instance.clone();
    drop(lane);
    opened.notify_one();
    kit.says("ok").await;

    let mut lane = Lane::open(kit.address).await;
    lane.attach(again(1, 2, &instance)).await;
    let ack = lane.until_failed(1).await;
    assert_eq!((ack.seq, &*ack.error), (1, "bad is not for me"));
    assert_eq!(lane.commands(1).count(), 1);
    lane.close(1, 2).await;
    lane.until_acked(1, 2).await;
}

#[tokio::test]
async fn a_failed_opening_is_told_again_after_its_lane_is_lost() {
    let kit = Kit::serve(|_, word, _| fail_on(&word, "open")).await;
    let mut lane = Lane::open(kit.address).await;
    lane.attach(first(1)).await;
    let instance = lane.instance.clone();
    assert_eq!(lane.until_failed(1).await.seq, 0);
    drop(lane);
    let mut lane = Lane::open(kit.address).await;
    lane.attach(again(1, 2, &instance)).await;
    assert_eq!(lane.until_failed(1).await.seq, 0);
}

#[tokio::test]
async fn after_a_failed_callback_only_the_end_is_heard() {
    let mut kit = Kit::serve(|_, word, _| fail_on(&word, "bad")).await;
    let mut lane = Lane::open(kit.address).await;
    lane.attach(first(1)).await;
    lane.bytes(1, 1, &["good", "bad", "late"]).await;
    assert_eq!(lane.until_failed(1).await.seq, 2);
    lane.close(1, 4).await;
    lane.until_acked(1, 4).await;
    assert_eq!(kit.rest(), ["open", "good", "bad", "tcp_closed", "close"]);
}

#[tokio::test]
async fn a_panic_is_told_and_the_end_is_heard() {
    let mut kit = Kit::serve(|_, word, _| async move {
        assert_ne!(word, "bad", "a test wants this");
        Ok(())
    })
    .await;
    let mut lane = Lane::open(kit.address).await;
    lane.attach(first(1)).await;
    lane.bytes(1, 1, &["bad", "late"]).await;
    assert_eq!(lane.until_failed(1).await.error, "the callback panicked");
    lane.close(1, 3).await;
    lane.until_acked(1, 3).await;
    assert_eq!(kit.rest(), ["open", "bad", "tcp_closed", "close"]);
}

#[tokio::test]
async fn a_panic_while_an_object_is_made_ends_that_connection_alone() {
    let kit = Kit::serve(|conn, _, _| async move { Ok(conn.send("there").await?) }).await;
    let mut lane = Lane::open(kit.address).await;
    lane.attach(first(13)).await;
    lane.attach(first(1)).await;
    let ack = lane.until_failed(13).await;
    assert_eq!(ack.error, "the function that makes objects panicked");
    lane.until(|lane| lane.commands(1).next().cloned()).await;
    lane.close(13, 1).await;
    lane.until_acked(13, 1).await;
}

/// The step of each event has sent three times its number.
fn assert_steps_are_whole(lane: &Lane) {
    let mut done = 0;
    for batch in &lane.batches {
        let steps = batch.commands.iter().map(|command| match &command.kind {
            Some(Kind::Send(bytes)) => u64::from(bytes[0]),
            other => panic!("{other:?} is no send"),
        });
        let acked = batch.acks.iter().map(|ack| ack.seq).max();
        let (first, last) = (steps.clone().min(), steps.max());
        if let (Some(first), Some(last)) = (first, last) {
            assert_eq!(first, done + 1, "a step begins where the last one ended");
            assert_eq!(acked, Some(last), "a step and its acknowledgement");
        }
        done = acked.unwrap_or(done);
    }
}

#[tokio::test]
async fn steps_that_are_sent_again_stay_whole() {
    let gate = Arc::new(Notify::new());
    let opened = gate.clone();
    let mut kit = Kit::serve(move |conn: Conn, word, log: Log| {
        let gate = gate.clone();
        async move {
            let Ok(number) = word.parse::<u8>() else {
                return Ok(());
            };
            if number == 1 {
                gate.notified().await;
            }
            for _ in 0..3 {
                conn.send(vec![number; 70_000]).await?;
            }
            log.say("given");
            Ok(())
        }
    })
    .await;
    let lane = Lane::open(kit.address).await;
    lane.attach(first(1)).await;
    lane.bytes(1, 1, &["1", "2", "3", "4", "5"]).await;
    kit.says("open").await;
    kit.says("1").await;
    // All five have come where one behind them has.
    let mut lane = lane;
    lane.attach(first(13)).await;
    lane.until_failed(13).await;
    let instance = lane.instance.clone();
    drop(lane);
    opened.notify_one();
    for word in [
        "given", "2", "given", "3", "given", "4", "given", "5", "given",
    ] {
        kit.says(word).await;
    }
    let mut lane = Lane::open(kit.address).await;
    lane.attach(again(1, 2, &instance)).await;
    lane.until_acked(1, 5).await;
    assert_eq!(lane.commands(1).count(), 15);
    assert!(lane.batches.len() > 1, "they do not fit into one batch");
    assert_steps_are_whole(&lane);
}

#[tokio::test]
async fn what_no_gateway_takes_is_refused_here() {
    let mut kit = Kit::serve(|conn: Conn, word, log| async move {
        if word == "large" {
            log.say(told(&conn.send(vec![0; 5 * 1024 * 1024]).await));
            log.say(told(&conn.set_state(vec![0; MAX_STATE + 1]).await));
            log.say(told(&conn.set_state(vec![0; MAX_STATE]).await));
            log.say(told(&conn.send(vec![0; 1024 * 1024]).await));
        }
        Ok(())
    })
    .await;
    let mut lane = Lane::open(kit.address).await;
    lane.attach(first(1)).await;
    lane.bytes(1, 1, &["large"]).await;
    lane.until_acked(1, 1).await;
    let said = kit.rest();
    assert_eq!(said[2..], ["too large", "too large", "ok", "ok"]);
    assert_eq!(lane.commands(1).count(), 2);
}

#[tokio::test]
async fn a_waiting_command_cuts_its_step_in_two() {
    let mut kit = Kit::serve(|conn: Conn, word, log| async move {
        if word == "login" {
            conn.send("hello").await?;
            let info = ClientInfo::default();
            log.say(told(&conn.authenticate(info, "", None).await));
            conn.send("welcome").await?;
        }
        Ok(())
    })
    .await;
    let mut lane = Lane::open(kit.address).await;
    lane.attach(first(1)).await;
    lane.bytes(1, 1, &["login"]).await;
    lane.until(|lane| (lane.commands(1).count() == 2).then_some(()))
        .await;
    lane.result(1, 2, 2).await;
    let ack = lane.until_acked(1, 1).await;
    assert_eq!(ack.seq, 2);
    assert_eq!(lane.commands(1).count(), 3);
    assert_eq!(kit.rest(), ["open", "login", "ok"]);
}
