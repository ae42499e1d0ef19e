//! The order of callbacks: created first, closed last and once, one in flight.

use proto::exproto::{ConnInfo, SocketType};

use super::super::{
    Stage,
    device::{Device, is_at},
    handler::{Kind, Line, Manner},
};
use crate::{
    check::{Check, Verdict, ensure, fail},
    patience::Patience,
};

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::new(
            "created-first",
            "the first callback is OnSocketCreated, once, and no other comes before that is answered",
            "proto: OnSocketCreated; exproto.md 2.2",
            &[],
            |stage| Box::pin(created_first(stage)),
        ),
        Check::new(
            "conninfo",
            "OnSocketCreated has socktype TCP, the device's address, the gateway's, and no certificate",
            "proto: ConnInfo; exproto.md 2.2",
            &["created-first"],
            |stage| Box::pin(conninfo(stage)),
        ),
        Check::new(
            "one-in-flight",
            "a connection has at most one callback in flight",
            "proto: ConnectionUnaryHandler; exproto.md 1: one callback in flight",
            &["created-first"],
            |stage| Box::pin(one_in_flight(stage)),
        ),
        Check::new(
            "apart",
            "a callback that is not answered holds up no other connection",
            "exproto.md 2.2: callbacks wait for each connection by itself",
            &["created-first"],
            |stage| Box::pin(apart(stage)),
        ),
        Check::new(
            "closed-last",
            "OnSocketClosed is called once when the device closes, and nothing after it",
            "proto: OnSocketClosed; exproto.md 2.9",
            &["created-first"],
            |stage| Box::pin(closed_last(stage)),
        ),
        Check::new(
            "closed-in-flight",
            "OnSocketClosed also comes when the device closes while a callback is in flight",
            "design.md 4: always delivered; compatibility.md",
            &["closed-last"],
            |stage| Box::pin(closed_in_flight(stage)),
        ),
        Check::new(
            "offsets",
            "each callback has exproto-offset, the bytes handed over before it, and exproto-attempt 1",
            "handlers.md: what each callback carries",
            &["created-first"],
            |stage| Box::pin(offsets(stage)),
        ),
    ]
}

async fn created_first(stage: &Stage) -> Verdict {
    let mut device = Device::connect_to(stage, Manner::Held).await?;
    device.write(b"early").await?;
    let second = device
        .never_hears(|line| line.events.get(1).map(|event| event.kind.method()))
        .await;
    device.answer(Manner::Plain);
    let first = device.line(|line| line.events[0].kind.method());
    ensure!(first == "OnSocketCreated", "the first callback was {first}");
    if let Some(second) = second {
        return fail(format!("{second} came before OnSocketCreated was answered"));
    }
    device
        .hears("OnReceivedBytes", |line| line.events.get(1).map(drop))
        .await?;
    let created = device.line(|line| {
        line.methods()
            .iter()
            .filter(|each| **each == "OnSocketCreated")
            .count()
    });
    ensure!(created == 1, "OnSocketCreated came {created} times");
    Ok(String::new())
}

async fn conninfo(stage: &Stage) -> Verdict {
    let device = Device::connect(stage).await?;
    let info = device.line(|line| match &line.events[0].kind {
        Kind::Created(info) => info.clone(),
        _ => None,
    });
    let Some(ConnInfo {
        socktype,
        peername,
        sockname,
        peercert,
    }) = info
    else {
        return fail("there is no conninfo");
    };
    ensure!(
        socktype == i32::from(SocketType::Tcp),
        "socktype is {socktype}, and not TCP (0)"
    );
    ensure!(
        peercert.is_none(),
        "peercert is there, and the device has shown no certificate"
    );
    if stage.nat {
        return Ok("addresses were not looked at (--nat)".to_owned());
    }
    for (name, told, wanted) in [
        ("peername", peername, device.address),
        ("sockname", sockname, device.gateway),
    ] {
        let is_right = told.as_ref().is_some_and(|told| is_at(told, wanted));
        let told = told.map_or("absent".to_owned(), |told| {
            format!("{} port {}", told.host, told.port)
        });
        ensure!(
            is_right,
            "{name} is {told}, and not {wanted}; behind a balancer use --nat"
        );
    }
    Ok(String::new())
}

async fn one_in_flight(stage: &Stage) -> Verdict {
    let mut device = Device::connect(stage).await?;
    device.answer(Manner::Held);
    device.write(b"one").await?;
    device
        .hears("OnReceivedBytes", |line| {
            (!line.bytes.is_empty()).then_some(())
        })
        .await?;
    device.write(b"two").await?;
    let count = device.line(|line| line.events.len());
    let second = device
        .never_hears(|line| line.events.get(count).map(|event| event.kind.method()))
        .await;
    device.answer(Manner::Plain);
    if let Some(second) = second {
        return fail(format!("{second} came while OnReceivedBytes was in flight"));
    }
    device
        .hears("the bytes that waited", |line| {
            (line.bytes.len() >= 6).then_some(())
        })
        .await?;
    ensure!(
        !device.line(|line| line.overlapped),
        "two callbacks were in flight"
    );
    Ok(String::new())
}

async fn apart(stage: &Stage) -> Verdict {
    let mut held = Device::connect(stage).await?;
    held.answer(Manner::Held);
    held.write(b"held").await?;
    held.hears("OnReceivedBytes", |line| {
        (!line.bytes.is_empty()).then_some(())
    })
    .await?;
    let other = async {
        let mut device = Device::connect(stage).await?;
        device.write(b"free").await?;
        device
            .hears("OnReceivedBytes", |line| {
                (line.bytes == b"free").then_some(())
            })
            .await
    };
    // By then the gateway has not given up the callback that is held.
    let patience = Patience {
        deadline: stage.patience.deadline.min(stage.handler_deadline / 2),
        ..stage.patience
    };
    let what = "service for another connection meanwhile";
    let served = patience.wait(what, other).await.and_then(|served| served);
    held.answer(Manner::Plain);
    served?;
    Ok(String::new())
}

async fn closed_last(stage: &Stage) -> Verdict {
    let mut device = Device::connect(stage).await?;
    device.leave();
    device.closed().await?;
    let after = |line: &Line| {
        let closed = line
            .events
            .iter()
            .position(|event| matches!(event.kind, Kind::Closed(_)))?;
        line.events.get(closed + 1).map(|event| event.kind.method())
    };
    match device.never_hears(after).await {
        Some(method) => fail(format!("{method} came after OnSocketClosed")),
        None => Ok(format!(
            "nothing within {:?} after it",
            stage.patience.settle
        )),
    }
}

async fn closed_in_flight(stage: &Stage) -> Verdict {
    stage.dialect.ours("OnSocketClosed may be lost then")?;
    let mut device = Device::connect(stage).await?;
    device.answer(Manner::Held);
    device.write(b"last words").await?;
    device
        .hears("OnReceivedBytes", |line| {
            (!line.bytes.is_empty()).then_some(())
        })
        .await?;
    device.leave();
    let early = device
        .never_hears(|line| line.closed().map(str::to_owned))
        .await;
    device.answer(Manner::Plain);
    if let Some(reason) = early {
        return fail(format!(
            "OnSocketClosed ({reason}) came while OnReceivedBytes was in flight"
        ));
    }
    device.closed().await?;
    Ok(String::new())
}

async fn offsets(stage: &Stage) -> Verdict {
    stage.dialect.ours("callbacks have no metadata")?;
    let mut device = Device::connect(stage).await?;
    for round in 1..=3 {
        device.write(b"0123456789").await?;
        device
            .hears("OnReceivedBytes", |line| {
                (line.bytes.len() >= round * 10).then_some(())
            })
            .await?;
    }
    let events = device.line(|line| line.events.clone());
    let mut before = 0;
    for event in events {
        let method = event.kind.method();
        ensure!(
            event.offset == Some(before) && event.attempt == Some(1),
            "{method} after {before} bytes has exproto-offset {} and exproto-attempt {}",
            shown(event.offset),
            shown(event.attempt)
        );
        if let Kind::Bytes(bytes) = event.kind {
            before += bytes.len() as u64;
        }
    }
    Ok(format!("{before} bytes"))
}

fn shown(number: Option<impl ToString>) -> String {
    number.map_or("absent".to_owned(), |number| number.to_string())
}
