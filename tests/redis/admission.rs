//! Who is let in by Redis, and what we refuse.

use std::{
    fs, io,
    sync::{Arc, Mutex},
};

use exproto_gateway::redis::{COMMANDS, COMMANDS_OF_A_CLUSTER, COMMANDS_OF_ONE, Problem, Push};
use exproto_tests::{Pki, RedisCluster, RedisServer, SentinelSet, until};

use crate::pod::{Pod, channels};

fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

async fn works(mut pod: Pod) {
    pod.is_connected().await;
    let names = channels(&pod.link, 10);
    pod.link.subscribe(&names).await.unwrap();
    pod.publish(&names[0], "here").await;
    assert_eq!(pod.message().await.1, "here");
}

#[tokio::test]
async fn a_wrong_password_is_said_and_a_right_one_taken_without_a_restart() {
    let redis = RedisServer::with(&["--requirepass", "right"]).await;
    let (_folder, path) = file("wrong\n");
    let pod = Pod::new(&[redis.url()], &format!("password_file: {path}"));
    let why = pod.is_away(Problem::is_lasting).await.to_string();
    assert!(
        why.contains("WRONGPASS") && why.contains("redis.password_file"),
        "{why}"
    );
    fs::write(&path, "right\n").unwrap();
    works(pod).await;
    let pod = Pod::new(&[redis.url()], "");
    let why = pod.is_away(Problem::is_lasting).await.to_string();
    assert!(why.contains("NOAUTH"), "{why}");
}

#[tokio::test]
async fn sentinels_have_a_password_of_their_own() {
    let set = SentinelSet::start().await;
    let pod = Pod::new(&set.urls(), "mode: sentinel, sentinel: {master: another}");
    let why = pod
        .is_away(|why| matches!(why, Problem::Lost { .. }))
        .await
        .to_string();
    assert!(
        why.contains("no master is called \"another\"; check redis.sentinel.master"),
        "{why}"
    );
    let (_folder, path) = file("secret");
    let more = format!(
        "mode: sentinel, sentinel: {{master: main, username: nobody, password_file: {path}}}"
    );
    let pod = Pod::new(&set.urls(), &more);
    let why = pod
        .is_away(|why| matches!(why, Problem::Login { .. }))
        .await
        .to_string();
    assert!(why.contains("redis.sentinel.password_file"), "{why}");
}

#[tokio::test]
async fn tls_with_certificates_works_and_a_strange_authority_does_not() {
    let (ours, theirs) = (Pki::new(), Pki::named("Another"));
    let redis = RedisServer::over_tls(&ours, true).await;
    let client = ours.client("pod");
    let shown = format!(
        "{{chain: {}, key: {}}}",
        client.chain.display(),
        client.key.display()
    );
    let more = format!(
        "ca_file: {}, certificate: {shown}",
        ours.ca_file().display()
    );
    works(Pod::new(&[redis.url()], &more)).await;
    let more = format!(
        "ca_file: {}, certificate: {shown}",
        theirs.ca_file().display()
    );
    let pod = Pod::new(&[redis.url()], &more);
    let why = pod.is_away(Problem::is_lasting).await.to_string();
    assert!(
        why.contains("invalid peer certificate") && why.contains("redis.ca_file"),
        "{why}"
    );
    let pod = Pod::new(
        &[redis.url()],
        &format!("ca_file: {}", ours.ca_file().display()),
    );
    pod.is_away(|why| *why != Problem::New).await;
}

/// What grants all that is needed, and no more.
fn grants(more: &[&str]) -> Vec<String> {
    let command = |sample: &&str| {
        let mut words = sample.split(' ');
        let command = words.next().unwrap().to_lowercase();
        match (command.as_str(), words.next()) {
            ("cluster", Some(what)) => format!("+cluster|{}", what.to_lowercase()),
            _ => format!("+{command}"),
        }
    };
    let always = ["on", ">secret", "~exproto:default:*", "&exproto:default:*"];
    let link = ["+ping", "+multi", "+discard"];
    let mut all: Vec<String> = always
        .iter()
        .chain(&link)
        .map(|&each| each.to_owned())
        .collect();
    all.extend(COMMANDS.iter().chain(more).map(command));
    all
}

fn set_user(redis: &RedisServer, grants: &[String]) {
    let mut command = vec!["ACL", "SETUSER", "pod", "reset"];
    command.extend(grants.iter().map(String::as_str));
    assert_eq!(redis.cli(&command).trim(), "OK");
}

#[tokio::test]
async fn a_user_with_what_is_needed_is_enough_and_what_is_missing_is_named() {
    let redis = RedisServer::start().await;
    let (_folder, path) = file("secret");
    let more = format!("username: pod, password_file: {path}");
    let mut grants = grants(COMMANDS_OF_ONE);
    set_user(&redis, &grants);
    works(Pod::new(&[redis.url()], &more)).await;
    grants.retain(|grant| !matches!(grant.as_str(), "+subscribe" | "+xadd"));
    set_user(&redis, &grants);
    let pod = Pod::new(&[redis.url()], &more);
    let why = pod.is_away(Problem::is_lasting).await.to_string();
    assert!(
        why.contains("does not let this user have +subscribe +xadd; grant it, for example by: ACL SETUSER pod +subscribe +xadd"),
        "{why}"
    );
    assert_eq!(
        redis.cli(&["KEYS", "*check*"]).trim(),
        "",
        "nothing was done to find out"
    );
    for (without, missing) in [
        ("~exproto:default:*", "have ~exproto:default:*;"),
        ("&exproto:default:*", "have &exproto:default:*;"),
        ("+multi", "have +multi;"),
    ] {
        let mut grants = self::grants(COMMANDS_OF_ONE);
        grants.retain(|grant| grant != without);
        set_user(&redis, &grants);
        let pod = Pod::new(&[redis.url()], &more);
        let why = pod.is_away(Problem::is_lasting).await.to_string();
        assert!(why.contains(missing), "{why}");
    }
    // Granted, it goes on by itself.
    set_user(&redis, &self::grants(COMMANDS_OF_ONE));
    works(pod).await;
}

#[tokio::test]
async fn a_cluster_wants_its_own_commands() {
    let mut cluster = RedisCluster::start().await;
    let (_folder, path) = file("secret");
    let more = format!("mode: cluster, username: pod, password_file: {path}");
    for index in 0..6 {
        set_user(cluster.node(index), &grants(COMMANDS_OF_A_CLUSTER));
    }
    works(Pod::new(&cluster.urls(), &more)).await;
    let stranger = Pod::with_key(&cluster.urls(), &more, &[8; 32]);
    stranger.is_away(Problem::is_lasting).await;
    for name in channels(&stranger.link, 16) {
        assert!(stranger.set(&name).await.is_err(), "on whichever node");
    }
    let mut some = grants(COMMANDS_OF_A_CLUSTER);
    some.retain(|grant| grant != "+cluster|slots");
    for index in 0..6 {
        set_user(cluster.node(index), &some);
    }
    let pod = Pod::new(&cluster.urls(), &more);
    let why = pod.is_away(Problem::is_lasting).await.to_string();
    assert!(why.contains("+cluster|slots"), "{why}");
    // And who takes a node of a cluster for one server is told so.
    let pod = Pod::new(&cluster.urls()[..1], "");
    let why = pod.is_away(Problem::is_lasting).await.to_string();
    assert!(
        why.contains("is a node of a cluster; write redis.mode: cluster"),
        "{why}"
    );
}

#[tokio::test]
async fn one_server_is_no_cluster_and_no_sentinel() {
    let redis = RedisServer::start().await;
    let pod = Pod::new(&[redis.url()], "mode: cluster");
    let why = pod.is_away(Problem::is_lasting).await.to_string();
    assert!(why.contains("is no node of a cluster"), "{why}");
    let pod = Pod::new(&[redis.url()], "mode: sentinel, sentinel: {master: main}");
    let why = pod.is_away(Problem::is_lasting).await.to_string();
    assert!(why.contains("is no sentinel"), "{why}");
}

#[tokio::test]
async fn pods_with_another_key_are_refused() {
    let redis = RedisServer::start().await;
    works(Pod::new(&[redis.url()], "")).await;
    works(Pod::new(&[redis.url()], "")).await;
    let mut stranger = Pod::with_key(&[redis.url()], "", &[8; 32]);
    let why = stranger.is_away(Problem::is_lasting).await;
    assert!(matches!(why, Problem::Foreign { .. }), "{why}");
    let why = why.to_string();
    assert!(
        why.contains("exproto:default:") && why.contains("cluster.key_file"),
        "{why}"
    );
    assert!(stranger.set("k").await.is_err());
    let names = channels(&stranger.link, 1);
    assert!(stranger.link.subscribe(&names).await.is_err());
    redis.cli(&["PUBLISH", &names[0], "secret"]);
    assert_eq!(stranger.pushes.try_next(), None::<Push>);
    works(Pod::with_key(
        &[redis.url()],
        "prefix: \"other:\"",
        &[8; 32],
    ))
    .await;
}

/// What was logged by this process.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn with(&self, words: &[&str]) -> usize {
        let bytes = self.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        let fits = |line: &&str| words.iter().all(|word| line.contains(word));
        text.lines().filter(fits).count()
    }
}

#[tokio::test]
async fn what_is_wrong_is_logged_once_and_not_with_each_try() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false);
    subscriber.with_writer(move || writer.clone()).init();
    let redis = RedisServer::with(&["--requirepass", "right"]).await;
    let (_folder, path) = file("wrong");
    let pod = Pod::new(&[redis.url()], &format!("password_file: {path}"));
    until("many tries", async || {
        let log = redis.cli(&["-a", "right", "--no-auth-warning", "ACL", "LOG"]);
        let count = log.lines().skip_while(|&line| line != "count").nth(1);
        count.is_some_and(|count| count.parse::<u32>().unwrap() >= 10)
    })
    .await;
    // Other tests log, too.
    let port = redis.address().port().to_string();
    let refused = || lines.with(&["WRONGPASS", &port]);
    let empty = || lines.with(&["is empty", &path]);
    assert_eq!(refused(), 1);
    fs::write(&path, "").unwrap();
    until("a word on the file", async || empty() > 0).await;
    fs::write(&path, "right").unwrap();
    pod.is_connected().await;
    assert_eq!((refused(), empty()), (1, 1));
}
