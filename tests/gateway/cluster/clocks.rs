//! The clock of a pod jumps by an hour. (A Redis of Debian cannot be given a clock of its own: its allocator and
//! libfaketime do not get along.)

use exproto_tests::Clock;

use super::{Pods, client_of, trial::trial};

const RECEIVED: &str = "exproto_shared_messages_total{event=\"received\"}";
const JUMPS: [&str; 3] = ["+1h", "-1h", "+0"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_whose_clock_jumps() {
    let pods = Pods::start().await;
    let clock = Clock::new();
    let one = pods.program_by(&clock, "a", &pods.redis.url()).await;
    let two = pods.pod("b").await;
    let mut far = two.client("far").await;
    let publisher = client_of(&one, "publisher").await;
    let jump = async {
        for by in JUMPS {
            let before = two.gateway.metric(RECEIVED).await;
            clock.jump(by);
            two.gateway.counts(RECEIVED, before + 100).await;
        }
    };
    let outcome = trial(publisher, &mut far, &two.handler, jump).await;
    assert_eq!((outcome.unsure, outcome.loose_lost), (0, 0));
}
