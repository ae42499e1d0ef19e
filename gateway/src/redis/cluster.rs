//! The map of a cluster: which node has which slot. It is asked for whenever something points elsewhere, and every few
//! seconds. Of several answers the one that knows most counts, and one that knows less than what was taken before does not:
//! else commands would go back and forth between an old master and a new one.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use redis::{FromRedisValue as _, ServerErrorKind, Value};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{
    Problem,
    access::{Address, ended, unexpected},
    keep::keep,
    node::{Map, NOBODY, Node, Place},
    shared::Shared,
    slots::SLOTS,
};
use crate::backoff::jittered;

/// How often the map is looked at where nothing happens.
const LOOK: Duration = Duration::from_secs(5);
/// The least time between two looks.
const BETWEEN: Duration = Duration::from_millis(50);
/// How often in a row a view that knows less is not taken.
const MOST_REFUSED: u32 = 20;
/// How many nodes are asked each time.
const ASKED: usize = 3;
/// How long others are waited for once one has answered.
const GRACE: Duration = Duration::from_millis(200);

/// What a node says of the cluster.
struct View {
    /// How much it knows: slots go to masters with higher epochs, so the sum of these only grows.
    rank: u64,
    /// First slot, last slot, and whose they are.
    ranges: Vec<(u16, u16, Address)>,
}

/// Keeps the map, until the link ends.
pub(super) async fn chart(shared: Arc<Shared>, seeds: Vec<Address>) {
    let (min, max) = shared.backoff;
    let mut pause = min;
    let mut said = None;
    let (mut rank, mut refused) = (0, 0);
    loop {
        match look(&shared, &seeds).await {
            // A cluster that was made anew begins with low epochs.
            Ok(view) if view.rank < rank && refused < MOST_REFUSED => {
                refused += 1;
                sleep(jittered(BETWEEN)).await;
            }
            Ok(view) => {
                (pause, said) = (min, None);
                (rank, refused) = (view.rank, 0);
                take(&shared, &view);
                tokio::select! {
                    () = shared.refresh.notified() => sleep(jittered(BETWEEN)).await,
                    () = sleep(LOOK) => {}
                }
            }
            Err(problem) => {
                if said.as_ref() != Some(&problem) {
                    tracing::warn!(%problem, "no node of the Redis cluster can be asked for its slots");
                    said = Some(problem.clone());
                }
                if shared.map.load().nodes.is_empty() {
                    shared.trouble(Some(&problem));
                }
                sleep(jittered(pause)).await;
                pause = (pause * 2).min(max);
            }
        }
    }
}

/// The newest view of some nodes that are connected, else of the first one that can be reached.
async fn look(shared: &Arc<Shared>, seeds: &[Address]) -> Result<View, Problem> {
    let map = shared.map.load_full();
    if let Some(view) = of_some(shared, &map.nodes).await {
        return Ok(view);
    }
    let known = map.nodes.iter().filter_map(|node| match &node.place {
        Place::Fixed(address) => Some(address.clone()),
        Place::Master(_) => None,
    });
    let mut addresses: Vec<Address> = known.chain(seeds.iter().cloned()).collect();
    fastrand::shuffle(&mut addresses);
    let mut last = Problem::New;
    for address in addresses {
        match of_stranger(shared, &address).await {
            Ok(view) => return Ok(view),
            Err(problem) => last = problem,
        }
    }
    Err(last)
}

/// Asks some that are connected at the same time, as one of them may be frozen, and takes the newest view.
async fn of_some(shared: &Shared, nodes: &[Arc<Node>]) -> Option<View> {
    let connected = nodes.iter().filter(|node| node.commands.load().is_some());
    let mut chosen: Vec<&Arc<Node>> = connected.collect();
    fastrand::shuffle(&mut chosen);
    chosen.truncate(ASKED);
    let asked = chosen.into_iter().map(|node| of_node(node));
    let mut asked: FuturesUnordered<_> = asked.collect();
    let mut newest: Option<View> = None;
    let mut until = Instant::now() + shared.timeout;
    while let Ok(Some(view)) = timeout_at(until, asked.next()).await {
        let Some(view) = view else { continue };
        if newest.is_none() {
            until = until.min(Instant::now() + GRACE);
        }
        if newest.as_ref().is_none_or(|newest| newest.rank < view.rank) {
            newest = Some(view);
        }
    }
    newest
}

async fn of_node(node: &Node) -> Option<View> {
    let Place::Fixed(address) = &node.place else {
        return None;
    };
    let commands = node.commands.load_full()?;
    let asked = async {
        let mut answers = Vec::new();
        for question in questions() {
            let packed = Bytes::from(question.get_packed_command());
            answers.push(commands.ask(packed, false, || {}).await.ok()?);
        }
        Some(answers)
    };
    let answers = asked.await?;
    view(address, &answers[0], &answers[1]).ok()
}

async fn of_stranger(shared: &Shared, address: &Address) -> Result<View, Problem> {
    let (mut wire, greeting) = shared.access.open(address).await?;
    if !matches!(greeting.mode.as_str(), "cluster" | "") {
        return Err(Problem::Mode {
            address: address.text(),
            what: "is no node of a cluster; write redis.mode: standalone or sentinel",
        });
    }
    let asked = async {
        let mut answers = Vec::new();
        for question in questions() {
            answers.push(wire.ask(&question).await?);
        }
        Ok(answers)
    };
    let answers = timeout(shared.timeout, asked).await;
    let answers = answers.unwrap_or_else(|elapsed| Err(elapsed.into()));
    let answers = answers.map_err(|error| ended(address, &error))?;
    for (answer, command) in answers.iter().zip(["+cluster|slots", "+cluster|nodes"]) {
        if let Value::ServerError(error) = answer
            && error.kind() == Some(ServerErrorKind::NoPerm)
        {
            return Err(Problem::Forbidden {
                address: address.text(),
                missing: command.into(),
                remedy: format!("ACL SETUSER {} {command}", shared.access.user()).into(),
            });
        }
    }
    view(address, &answers[0], &answers[1])
}

fn questions() -> [redis::Cmd; 2] {
    ["SLOTS", "NODES"].map(|what| {
        let mut question = redis::cmd("CLUSTER");
        question.arg(what);
        question
    })
}

fn view(from: &Address, slots: &Value, nodes: &Value) -> Result<View, Problem> {
    let (Value::Array(entries), Ok(nodes)) = (slots, String::from_redis_value_ref(nodes)) else {
        return Err(unexpected(from, slots));
    };
    // Id, address, flags, master, ping, pong, epoch; then the state of its link, and its slots.
    let epochs: HashMap<&str, u64> = nodes
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let id = words.next()?;
            Some((id, words.nth(5)?.parse().ok()?))
        })
        .collect();
    let mut rank = 0;
    let ranges = entries.iter().filter_map(|entry| {
        let (first, last, address, id) = range(from, entry)?;
        let epoch = epochs.get(id.as_str()).copied().unwrap_or(0);
        rank += epoch.saturating_mul(u64::from(last - first) + 1);
        Some((first, last, address))
    });
    let ranges: Vec<_> = ranges.collect();
    if ranges.is_empty() {
        return Err(Problem::Lost {
            address: from.text(),
            what: "its cluster has no slots yet".into(),
        });
    }
    Ok(View { rank, ranges })
}

/// Of first slot, last slot, master and replicas: the slots, where the master is, and its id.
fn range(from: &Address, entry: &Value) -> Option<(u16, u16, Address, String)> {
    let Value::Array(parts) = entry else {
        return None;
    };
    let [
        Value::Int(first),
        Value::Int(last),
        Value::Array(master),
        ..,
    ] = &parts[..]
    else {
        return None;
    };
    let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
    let port = u16::try_from(i64::from_redis_value_ref(master.get(1)?).ok()?).ok()?;
    // A node without a name or address of its own is where it was asked.
    let host = String::from_redis_value_ref(master.first()?).unwrap_or_default();
    let host = if host.is_empty() { &from.host } else { &*host };
    let id = String::from_redis_value_ref(master.get(2)?).ok()?;
    (first <= last && last < SLOTS && host != "?")
        .then(|| (first, last, Address::new(host, port), id))
}

/// Makes it the map, if it is another one.
fn take(shared: &Arc<Shared>, view: &View) {
    let old = shared.map.load_full();
    let (mut nodes, mut new): (Vec<Arc<Node>>, Vec<Arc<Node>>) = Default::default();
    let mut owners = vec![NOBODY; usize::from(SLOTS)].into_boxed_slice();
    for (first, last, address) in &view.ranges {
        let there = |node: &Arc<Node>| matches!(&node.place, Place::Fixed(at) if at == address);
        let index = nodes.iter().position(there).unwrap_or_else(|| {
            let node = old.at(address).cloned().unwrap_or_else(|| {
                let place = Place::Fixed(address.clone());
                let node = Node::new(place, shared.ended.child_token());
                new.push(node.clone());
                node
            });
            nodes.push(node);
            nodes.len() - 1
        });
        let index = u16::try_from(index).expect("there are fewer nodes than slots");
        owners[usize::from(*first)..=usize::from(*last)].fill(index);
    }
    let map = Map {
        nodes,
        owners,
        trouble: None,
    };
    let same = |slot: u16| match (old.owner(slot), map.owner(slot)) {
        (Some(old), Some(new)) => Arc::ptr_eq(old, new),
        (None, None) => true,
        _ => false,
    };
    if old.trouble.is_none() && old.nodes.len() == map.nodes.len() && (0..SLOTS).all(same) {
        return;
    }
    tracing::info!(
        masters = map.nodes.len(),
        "the Redis cluster has another map of slots"
    );
    shared.adopt(map);
    for node in new {
        keep(shared, &node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn a_view_is_read_from_what_nodes_say() {
        let node = |host: Value, port| Value::Array(vec![host, Value::Int(port), text("id")]);
        let slots = Value::Array(vec![
            Value::Array(vec![
                Value::Int(0),
                Value::Int(99),
                node(text("10.0.0.1"), 7000),
            ]),
            Value::Array(vec![
                Value::Int(100),
                Value::Int(16383),
                node(Value::Nil, 7001),
            ]),
            Value::Array(vec![Value::Int(5), Value::Int(99999), node(text("b"), 1)]),
            Value::Array(vec![Value::Int(5), Value::Int(6), node(text("?"), 1)]),
            Value::Nil,
        ]);
        let from = Address::new("a", 1);
        let nodes = text("id 10.0.0.1:7000@1 master - 0 0 17 connected 0-99\nx y\n");
        let view = view(&from, &slots, &nodes).ok().unwrap();
        assert_eq!(view.rank, 16_384 * 17);
        let expected = [
            (0, 99, Address::new("10.0.0.1", 7000)),
            (100, 16383, Address::new("a", 7001)),
        ];
        assert_eq!(view.ranges, expected);
        assert!(super::view(&from, &Value::Array(Vec::new()), &nodes).is_err());
        assert!(super::view(&from, &Value::Nil, &nodes).is_err());
    }
}
