//! Calls that must be refused, and by which code.

use proto::exproto::{ClientInfo, ResultCode};

use super::super::{Stage, device::Device};
use crate::{
    check::{Check, Verdict},
    dialect::Wanted,
};

pub(super) fn checks() -> Vec<Check<Stage>> {
    let source = "proto: ResultCode; exproto.md 2.4; compatibility.md: result codes";
    vec![
        Check::new(
            "conn-gone",
            "a call for a connection that has ended is answered CONN_PROCESS_NOT_ALIVE",
            source,
            &["closed-last"],
            |stage| Box::pin(conn_gone(stage)),
        ),
        Check::new(
            "conn-malformed",
            "a call for a conn that is none is answered PARAMS_TYPE_ERROR",
            source,
            &[],
            |stage| Box::pin(conn_malformed(stage)),
        ),
        Check::new(
            "conn-absent",
            "a call without conn is answered REQUIRED_PARAMS_MISSED",
            source,
            &[],
            |stage| Box::pin(conn_absent(stage)),
        ),
        Check::new(
            "before-authenticate",
            "Publish, Subscribe, Unsubscribe before Authenticate are answered PERMISSION_DENY",
            source,
            &["created-first"],
            |stage| Box::pin(before_authenticate(stage)),
        ),
        Check::new(
            "no-clientinfo",
            "Authenticate without clientinfo is answered REQUIRED_PARAMS_MISSED",
            source,
            &["created-first"],
            |stage| Box::pin(no_clientinfo(stage)),
        ),
        Check::new(
            "no-clientid",
            "Authenticate with an empty clientid is answered REQUIRED_PARAMS_MISSED",
            source,
            &["created-first"],
            |stage| Box::pin(no_clientid(stage)),
        ),
        Check::new(
            "timer-parameters",
            "StartTimer with another type than KEEPALIVE, or with interval 0, is answered PARAMS_TYPE_ERROR",
            source,
            &["created-first"],
            |stage| Box::pin(timer_parameters(stage)),
        ),
        Check::new(
            "wrong-qos",
            "Publish and Subscribe with qos 3 are answered PARAMS_TYPE_ERROR",
            source,
            &["authenticate"],
            |stage| Box::pin(wrong_qos(stage)),
        ),
        Check::new(
            "wildcard-topic",
            "Publish to a topic with wildcards is answered PARAMS_TYPE_ERROR",
            "compatibility.md",
            &["authenticate"],
            |stage| Box::pin(wildcard_topic(stage)),
        ),
        Check::new(
            "raw-wrong-qos",
            "RawPublish with qos 3 is answered PARAMS_TYPE_ERROR",
            source,
            &[],
            |stage| Box::pin(raw_wrong_qos(stage)),
        ),
    ]
}

async fn conn_gone(stage: &Stage) -> Verdict {
    let mut device = Device::connect(stage).await?;
    device.leave();
    device.closed().await?;
    let gone = Wanted::Code(ResultCode::ConnProcessNotAlive);
    let (caller, conn) = (&stage.caller, &device.conn);
    caller.send(conn, "x").await?.must("Send", gone)?;
    caller.close(conn).await?.must("Close", gone)?;
    caller
        .authenticate(conn, &stage.name("gone"))
        .await?
        .must("Authenticate", gone)?;
    caller
        .start_timer(conn, 0, 60)
        .await?
        .must("StartTimer", gone)?;
    caller
        .publish(conn, "conformance", 0, "x")
        .await?
        .must("Publish", gone)?;
    caller
        .subscribe(conn, "conformance", 0)
        .await?
        .must("Subscribe", gone)?;
    caller
        .unsubscribe(conn, "conformance")
        .await?
        .must("Unsubscribe", gone)?;
    Ok("7 methods".to_owned())
}

async fn conn_malformed(stage: &Stage) -> Verdict {
    let wanted = stage.dialect.wrong_value();
    for conn in ["no conn at all", "AAAA"] {
        let said = stage.caller.send(conn, "x").await?;
        said.must(&format!("Send for {conn:?}"), wanted)?;
    }
    Ok(String::new())
}

async fn conn_absent(stage: &Stage) -> Verdict {
    let said = stage.caller.send("", "x").await?;
    said.must("Send", stage.dialect.no_conn())?;
    Ok(String::new())
}

async fn before_authenticate(stage: &Stage) -> Verdict {
    let device = Device::connect(stage).await?;
    let (caller, conn, wanted) = (&stage.caller, &device.conn, stage.dialect.nobody());
    caller
        .publish(conn, "conformance", 0, "x")
        .await?
        .must("Publish", wanted)?;
    caller
        .subscribe(conn, "conformance", 0)
        .await?
        .must("Subscribe", wanted)?;
    caller
        .unsubscribe(conn, "conformance")
        .await?
        .must("Unsubscribe", wanted)?;
    Ok("3 methods".to_owned())
}

async fn no_clientinfo(stage: &Stage) -> Verdict {
    let device = Device::connect(stage).await?;
    let said = stage.caller.authenticate_with(&device.conn, None).await?;
    said.must("Authenticate", stage.dialect.no_clientinfo())?;
    Ok(String::new())
}

async fn no_clientid(stage: &Stage) -> Verdict {
    let device = Device::connect(stage).await?;
    let info = ClientInfo {
        proto_name: "conformance".to_owned(),
        proto_ver: "1".to_owned(),
        ..ClientInfo::default()
    };
    let said = stage
        .caller
        .authenticate_with(&device.conn, Some(info))
        .await?;
    said.must("Authenticate", stage.dialect.no_clientid())?;
    Ok(String::new())
}

async fn timer_parameters(stage: &Stage) -> Verdict {
    let device = Device::connect(stage).await?;
    let wanted = stage.dialect.wrong_value();
    let said = stage.caller.start_timer(&device.conn, 9, 60).await?;
    said.must("StartTimer of type 9", wanted)?;
    let said = stage.caller.start_timer(&device.conn, 0, 0).await?;
    said.must("StartTimer with interval 0", wanted)?;
    Ok(String::new())
}

async fn wrong_qos(stage: &Stage) -> Verdict {
    let (device, _) = Device::client(stage).await?;
    let wanted = stage.dialect.wrong_value();
    let topic = stage.name("topic");
    let said = stage.caller.publish(&device.conn, &topic, 3, "x").await?;
    said.must("Publish", wanted)?;
    let said = stage.caller.subscribe(&device.conn, &topic, 3).await?;
    said.must("Subscribe", wanted)?;
    Ok(String::new())
}

async fn wildcard_topic(stage: &Stage) -> Verdict {
    let (device, _) = Device::client(stage).await?;
    let topic = format!("{}/+", stage.name("topic"));
    let said = stage.caller.publish(&device.conn, &topic, 0, "x").await?;
    said.must("Publish", stage.dialect.wildcard_topic())?;
    Ok(String::new())
}

async fn raw_wrong_qos(stage: &Stage) -> Verdict {
    let said = stage
        .caller
        .raw_publish(&stage.name("topic"), 3, "x")
        .await?;
    said.must("RawPublish", stage.dialect.raw_wrong_qos())?;
    Ok(String::new())
}
