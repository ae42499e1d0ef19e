//! Who may publish and subscribe: rules from files, a service over HTTP, Redis.

use std::{fs, path::PathBuf, process::Command};

use config::Config;
use exproto_tests::{Device, Pod, Process, TestGateway, TestHandler, gateway::config, program};
use proto::exproto::{ClientInfo, CodeResponse, ResultCode};
use tempfile::TempDir;

use crate::calls::{Calls, connect, ok, refused};

/// What comes with authentication.
mod granted;
/// Rules in Redis.
mod redis;
/// A service over HTTP.
mod service;

/// A gateway that decides, and its handler.
struct Setting {
    handler: TestHandler,
    gateway: TestGateway,
}

impl Setting {
    /// With what stands below `authorization`, written in one line.
    async fn new(authorization: &str) -> Self {
        Self::with(authorization, |_| ()).await
    }

    async fn with(authorization: &str, adapt: impl FnOnce(&mut Config)) -> Self {
        let handler = TestHandler::start();
        let mut config = config(&[&handler]);
        config.authorization = read(authorization);
        adapt(&mut config);
        let gateway = TestGateway::with(config).await;
        Self { handler, gateway }
    }

    async fn client(&self, clientid: &str, username: &str) -> (Device, Calls) {
        let (device, mut calls) = connect(&self.gateway, &self.handler).await;
        ok(&authenticate(&mut calls, clientid, username).await);
        (device, calls)
    }

    async fn reloads(&self, outcome: &str, times: u64) {
        let series =
            format!("exproto_reloads_total{{outcome=\"{outcome}\",what=\"authorization\"}}");
        self.gateway.counts(&series, times).await;
    }

    async fn decided(&self, source: &str, outcome: &str) -> u64 {
        let labels = format!("outcome=\"{outcome}\",source=\"{source}\"");
        let series = format!("exproto_authorizations_total{{{labels}}}");
        self.gateway.metric(&series).await
    }
}

fn read(authorization: &str) -> config::Authorization {
    let text = format!("authorization: {{{authorization}}}");
    Config::parse(&text, "test").unwrap().authorization
}

async fn authenticate(calls: &mut Calls, clientid: &str, username: &str) -> CodeResponse {
    let info = ClientInfo {
        clientid: clientid.to_owned(),
        username: username.to_owned(),
        ..ClientInfo::default()
    };
    calls.authenticate_as(Some(info), "").await
}

fn denied(answer: &CodeResponse) {
    refused(answer, ResultCode::PermissionDeny, "not allowed to");
}

/// A file of rules, and the source that reads it.
struct RulesFile {
    folder: TempDir,
}

impl RulesFile {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = Self { folder };
        file.write(text);
        file
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("acl.yaml")
    }

    fn write(&self, text: &str) {
        let next = self.path().with_extension("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, self.path()).unwrap();
    }

    fn source(&self) -> String {
        format!("{{file: {{path: \"{}\"}}}}", self.path().display())
    }

    fn sources(&self) -> String {
        format!("sources: [{}]", self.source())
    }
}

#[tokio::test]
async fn rules_decide_about_publish_and_subscribe_and_nothing_else() {
    let file = RulesFile::new(
        "- {permission: allow, action: publish, topic: 'up/${clientid}/#'}\n\
         - {permission: allow, action: subscribe, topic: 'down/${clientid}/#'}\n",
    );
    let setting = Setting::new(&file.sources()).await;
    let (_device, mut calls) = setting.client("truck", "").await;
    ok(&calls.publish("up/truck/speed", 1, "x").await);
    denied(&calls.publish("up/car/speed", 1, "x").await);
    denied(&calls.publish("down/truck/x", 1, "x").await);
    ok(&calls.subscribe("down/truck/+", 1).await);
    let answer = calls.subscribe("down/#", 1).await;
    refused(
        &answer,
        ResultCode::PermissionDeny,
        "not allowed to subscribe to \"down/#\"",
    );
    // In a group as well.
    ok(&calls.subscribe("$share/g/down/truck/#", 1).await);
    denied(&calls.subscribe("$share/down/#", 1).await);
    ok(&calls.unsubscribe("down/#").await);
    ok(&calls
        .raw_publish("down/truck/1", 0, "from the handler")
        .await);
    // Once for each of the two subscriptions.
    setting.handler.messages(2).await;
    assert_eq!(setting.decided("file", "allow").await, 3);
    assert_eq!(setting.decided("default", "deny").await, 4);
}

#[tokio::test]
async fn rules_see_topics_without_their_mountpoint() {
    let file = RulesFile::new("- {permission: allow, topic: own/#}\n");
    let setting = Setting::with(&file.sources(), |config| {
        config.mountpoint = "fleet/${clientid}/".parse().unwrap();
    })
    .await;
    let (_device, mut calls) = setting.client("truck", "").await;
    ok(&calls.subscribe("own/#", 0).await);
    ok(&calls.publish("own/1", 0, "x").await);
    assert_eq!(setting.handler.messages(1).await[0].topic, "own/1");
    denied(&calls.publish("fleet/truck/own/1", 0, "x").await);
    denied(&calls.subscribe("#", 0).await);
}

#[tokio::test]
async fn a_wildcard_does_not_read_what_is_denied() {
    let file = RulesFile::new(
        "- {permission: deny, topic: secret/#}\n- {permission: allow, topic: '#'}\n",
    );
    let setting = Setting::new(&file.sources()).await;
    let (_device, mut calls) = setting.client("c", "").await;
    for filter in ["#", "+/a", "secret", "+", "$share/g/#"] {
        denied(&calls.subscribe(filter, 0).await);
    }
    ok(&calls.subscribe("public/#", 0).await);
    denied(&calls.publish("secret/a", 0, "x").await);
    ok(&calls.publish("public/a", 0, "x").await);
    assert_eq!(setting.handler.messages(1).await[0].topic, "public/a");
}

#[tokio::test]
async fn the_systems_topics_are_for_whom_a_rule_names_them() {
    let setting = Setting::new("").await;
    let (_device, mut calls) = setting.client("c", "").await;
    denied(&calls.publish("$SYS/exproto/x", 0, "x").await);
    denied(&calls.subscribe("$SYS/#", 0).await);
    ok(&calls.subscribe("#", 0).await);
    let file = RulesFile::new(
        "- {permission: allow, topic: '#'}\n\
         - {permission: allow, action: subscribe, topic: $SYS/#, clientid: admin}\n",
    );
    let authorization = read(&format!("{}, default: allow", file.sources()));
    setting
        .gateway
        .reconfigure(|config| config.authorization = authorization);
    denied(&calls.subscribe("$SYS/#", 0).await);
    let (_device, mut admin) = setting.client("admin", "").await;
    ok(&admin.subscribe("$SYS/#", 0).await);
    denied(&admin.publish("$SYS/exproto/x", 0, "x").await);
}

#[tokio::test]
async fn no_clientid_reaches_what_is_another_ones() {
    let file = RulesFile::new("- {permission: allow, topic: 'own/${clientid}/#'}\n");
    let setting = Setting::new(&file.sources()).await;
    let mut devices = Vec::new();
    for clientid in ["+", "#", "a/b", "/", "a/#", "\0", "${username}"] {
        let (device, mut calls) = setting.client(clientid, "other").await;
        devices.push(device);
        for topic in ["own/other/x", "own/a/b/x", "own/a/x", "own//x", "own/x"] {
            denied(&calls.publish(topic, 0, "x").await);
        }
        for filter in ["own/+/#", "own/#", "#", "own/a/#", "own/a/b/#"] {
            denied(&calls.subscribe(filter, 0).await);
        }
    }
    let (_device, mut calls) = setting.client("honest", "").await;
    ok(&calls.publish("own/honest/x", 0, "x").await);
    ok(&calls.subscribe("own/honest/#", 0).await);
}

#[tokio::test]
async fn a_changed_file_is_taken_and_a_broken_one_is_not() {
    let file = RulesFile::new("- {permission: allow, topic: a}\n");
    let setting = Setting::new(&file.sources()).await;
    let (_device, mut calls) = setting.client("c", "").await;
    denied(&calls.publish("b", 0, "x").await);
    file.write("- {permission: allow, topic: b}\n");
    setting.reloads("taken", 1).await;
    ok(&calls.publish("b", 0, "x").await);
    denied(&calls.publish("a", 0, "x").await);
    file.write("- {permission: allow, topic: c}\n- {permission: allow, topci: c}\n");
    setting.reloads("refused", 1).await;
    ok(&calls.publish("b", 0, "x").await);
    denied(&calls.publish("c", 0, "x").await);
}

#[tokio::test]
async fn a_configuration_with_broken_rules_is_not_taken_at_all() {
    let file = RulesFile::new("- {permission: allow, topic: a/#/b}\n");
    let setting = Setting::new("").await;
    let (_device, mut calls) = setting.client("c", "").await;
    let reloader = setting.gateway.reloader();
    let mut config = (*reloader.config()).clone();
    config.listeners[0].limits.max_connections = 1.try_into().unwrap();
    config.authorization = read(&file.sources());
    let error = anyhow::Error::from(reloader.reload(config.clone()).unwrap_err());
    let error = format!("{error:#}");
    assert!(error.contains("acl.yaml:1:30: [0].topic: "), "{error}");
    ok(&calls.publish("a", 0, "x").await);
    // The limit was not taken either.
    let (_second, _) = connect(&setting.gateway, &setting.handler).await;
    file.write("- {permission: allow, topic: b}\n");
    reloader.reload(config).unwrap();
    denied(&calls.publish("a", 0, "x").await);
}

#[tokio::test]
async fn a_bad_line_is_named_by_the_check_and_in_the_log() {
    let bad = "- permission: allow\n  topic: a\n- permission: allow\n  topic: a/#/b\n";
    let file = RulesFile::new("- {permission: allow, topic: a}\n");
    let authorization = format!("authorization: {{{}}}", file.sources());
    let mut pod = Pod::with("transport: tcp", &authorization).await;
    file.write(bad);
    let logged = pod
        .process
        .errors
        .line("the changed rules are not taken")
        .await;
    let place = "acl.yaml:4:10: [1].topic: ";
    assert!(logged.contains(place), "{logged}");
    let check = || {
        let mut command = Command::new(program::gateway());
        command.args(["check", "--config"]).arg(pod.file());
        Process::start(&mut command, "of this repository")
    };
    let mut checked = check();
    assert_eq!(checked.ended().await.code(), Some(2));
    let said = checked.errors.all().await;
    assert!(
        said.contains("authorization") && said.contains(place),
        "{said}"
    );
    file.write("[]");
    assert_eq!(check().ended().await.code(), Some(0));
}
