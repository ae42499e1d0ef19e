//! A pod of a later version, whose messages have fields that this one does not know.

use exproto_gateway::{
    conn_id::ConnIds,
    seal::{Kind, Sealer},
};
use exproto_tests::{until, within};
use futures_util::StreamExt as _;
use prost::Message;
use redis::{AsyncCommands as _, aio::MultiplexedConnection};

use super::{FOREIGN, Pods};
use crate::calls::ok;

/// The pod, as an instance.
const LATER: &str = "later.1";
/// The topic `a`, as all versions name it.
const CHANNEL: &str = "exproto:default:{p32}.t.a";
const LOG: &str = "exproto:default:{p32}.log";

/// As `exproto.cluster.v1.Envelope`, and more.
#[derive(Clone, PartialEq, Message)]
struct Envelope {
    #[prost(string, tag = "1")]
    pod: String,
    #[prost(string, tag = "3")]
    id: String,
    #[prost(uint32, tag = "4")]
    qos: u32,
    #[prost(string, tag = "6")]
    topic: String,
    #[prost(bytes = "vec", tag = "7")]
    payload: Vec<u8>,
    #[prost(string, tag = "99")]
    added: String,
}

/// As `exproto.cluster.v1.Change`, and more.
#[derive(Clone, PartialEq, Message)]
struct Change {
    #[prost(string, tag = "1")]
    pod: String,
    #[prost(string, repeated, tag = "2")]
    added: Vec<String>,
    #[prost(uint64, tag = "98")]
    since: u64,
    #[prost(string, tag = "99")]
    why: String,
}

/// As `exproto.cluster.v1.PodAddress`, and more.
#[derive(Clone, PartialEq, Message)]
struct PodAddress {
    #[prost(string, tag = "1")]
    pod: String,
    #[prost(string, tag = "2")]
    address: String,
    #[prost(string, tag = "99")]
    zone: String,
}

fn envelope(number: u32, qos: u32) -> Envelope {
    Envelope {
        pod: LATER.to_owned(),
        id: format!("{number:032x}"),
        qos,
        topic: "a".to_owned(),
        payload: number.to_string().into_bytes(),
        added: "something new".to_owned(),
    }
}

fn framed(id: &str, sealed: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b" ", sealed].concat()
}

async fn publish(redis: &mut MultiplexedConnection, channel: &str, payload: Vec<u8>) {
    redis.publish::<_, _, ()>(channel, payload).await.unwrap();
}

#[tokio::test]
async fn messages_with_more_fields_are_understood() {
    let pods = Pods::start().await;
    let one = pods.pod("a").await;
    let mut client = one.client("client").await;
    ok(&client.calls.subscribe("a", 1).await);
    let sealer = sealer(&pods);
    let mut redis = connect(&pods).await;
    let loose = sealer.seal(Kind::Message, &envelope(1, 0));
    publish(&mut redis, CHANNEL, framed("", &loose)).await;
    let firm = sealer.seal(Kind::Message, &envelope(2, 1));
    let mut keep = redis::cmd("XADD");
    keep.arg(LOG).arg("*").arg("e").arg(&firm);
    let id: String = keep.query_async(&mut redis).await.unwrap();
    for _ in 0..2 {
        publish(&mut redis, CHANNEL, framed(&id, &firm)).await;
    }
    let last = sealer.seal(Kind::Message, &envelope(3, 0));
    publish(&mut redis, CHANNEL, framed("", &last)).await;
    assert_eq!(one.payloads(3).await, ["1", "2", "3"]);
    // The same from a log, where the channel was cut off meanwhile.
    pods.redis.cut_clients("pubsub");
    let missed = sealer.seal(Kind::Message, &envelope(4, 1));
    let mut keep = redis::cmd("XADD");
    keep.arg(LOG).arg("*").arg("e").arg(&missed);
    let _: String = keep.query_async(&mut redis).await.unwrap();
    assert_eq!(one.payloads(1).await, ["4"]);
    assert_eq!(
        one.gateway
            .metric("exproto_shared_messages_total{event=\"forged\"}")
            .await,
        0
    );
}

#[tokio::test]
async fn a_pod_that_says_more_of_itself_is_told_what_it_wants() {
    let pods = Pods::start().await;
    let sealer = sealer(&pods);
    let mut redis = connect(&pods).await;
    let key = |name: &str| format!("exproto:default:{{filters}}{name}");
    let address = sealer.seal(
        Kind::Address,
        &PodAddress {
            pod: LATER.to_owned(),
            address: "127.0.0.1:1".to_owned(),
            zone: "somewhere".to_owned(),
        },
    );
    let far_away = 9_999_999_999_999_u64;
    redis
        .zadd::<_, _, _, ()>(key(".pods"), LATER, far_away)
        .await
        .unwrap();
    redis
        .hset::<_, _, _, ()>(key(".addresses"), LATER, address)
        .await
        .unwrap();
    let inboxes = redis::Client::open(pods.redis.url()).unwrap();
    let mut inboxes = inboxes.get_async_pubsub().await.unwrap();
    inboxes
        .psubscribe(format!("*.inbox.{LATER}"))
        .await
        .unwrap();

    let one = pods.pod("a").await;
    let change = sealer.seal(
        Kind::Change,
        &Change {
            pod: LATER.to_owned(),
            added: vec!["wild/+".to_owned()],
            since: 7,
            why: "it is new".to_owned(),
        },
    );
    until("the change to be heard", async || {
        publish(&mut redis, &key(".changed"), framed("1-1", &change)).await;
        one.gateway.metric(FOREIGN).await == 1
    })
    .await;
    let mut client = one.client("client").await;
    ok(&client.calls.publish("wild/1", 0, "to later versions").await);
    let mut came = inboxes.on_message();
    let message = within("a message in its inbox", came.next()).await.unwrap();
    let text = message.get_payload_bytes()[1..].to_vec();
    let opened: proto::cluster::Envelope = sealer.open(Kind::Message, &text.into()).unwrap();
    assert_eq!(opened.payload, "to later versions");
}

pub(super) fn sealer(pods: &Pods) -> Sealer {
    let ids = ConnIds::new("test", Some(&pods.folder.path().join("key"))).unwrap();
    Sealer::new(ids.key_for("what pods tell each other"))
}

pub(super) async fn connect(pods: &Pods) -> MultiplexedConnection {
    let client = redis::Client::open(pods.redis.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}
