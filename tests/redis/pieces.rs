//! Commands that leave in one piece.

use exproto_tests::{RedisCluster, RedisServer};

use crate::pod::{Pod, channels};

#[tokio::test]
async fn a_piece_of_any_size_arrives_in_order() {
    const MESSAGES: usize = 5_000;
    let server = RedisServer::start().await;
    // Much less than what is sent at once.
    let mut pod = Pod::connected(&[server.url()], "max_in_flight: 100").await;
    let channel = channels(&pod.link, 1);
    pod.link.subscribe(&channel).await.unwrap();
    let mut piece = pod.link.piece();
    assert!(piece.is_empty());
    for number in 0..MESSAGES {
        let text = number.to_string();
        piece.publish(&channel[0], &[b"number", b" ", text.as_bytes()]);
    }
    let answers = pod.link.send(piece).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.is_ok()).count(),
        MESSAGES
    );
    for number in 0..MESSAGES {
        assert_eq!(pod.message().await.1, format!("number {number}"));
    }
    assert_eq!(
        pod.counted("exproto_redis_commands_total{outcome=\"ok\"}"),
        MESSAGES as u64
    );
}

#[tokio::test]
async fn each_command_of_a_piece_is_answered_by_its_own_server() {
    let cluster = RedisCluster::start().await;
    let mut pod = Pod::connected(&cluster.urls(), "mode: cluster").await;
    let channels = channels(&pod.link, 64);
    pod.link.subscribe(&channels).await.unwrap();
    let mut piece = pod.link.piece();
    for channel in &channels {
        piece.publish(channel, &[channel.as_bytes()]);
    }
    let answers = pod.link.send(piece).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    for _ in &channels {
        let (channel, payload) = pod.message().await;
        assert_eq!(channel, payload);
    }
}
