//! Names in the certificates that devices show, on every transport that has them.

use config::Verify;
use exproto_gateway::auth::hash::argon2id;
use exproto_tests::{
    Carrier, Credentials, TestGateway, TestHandler,
    gateway::authenticating,
    pki::{self, Files, Key},
    within,
};
use proto::exproto::{CodeResponse, ResultCode};

use super::authenticate;
use crate::{
    calls::{Calls, ok, refused},
    setting::Setting,
};

/// Each test for each of these transports.
macro_rules! with_certificates {
    ($($module:ident = $carrier:ident),* => $tests:tt) => {
        $(with_certificates! { @module $module $carrier $tests })*
    };
    (@module $module:ident $carrier:ident { $($test:ident)* }) => {
        mod $module {
            use exproto_tests::Carrier;
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(Carrier::$carrier).await;
                }
            )*
        }
    };
}

with_certificates! { tls = Tls, wss = Wss, dtls = Dtls => {
    a_name_must_stand_where_it_is_looked_for
    a_username_may_be_what_stands_there
    who_shows_none_is_left_to_the_next_one
    who_shows_one_for_another_is_denied
}}

/// A listener that asks for certificates, and a chain.
async fn listening(carrier: Carrier, chain: &str) -> Setting {
    let credentials = Credentials::default();
    let handler = TestHandler::start();
    let mut config = authenticating(carrier.config(&[&handler], &credentials), chain);
    config.listeners[0].tls.verify = Verify::Optional;
    config.listeners[0].tls.ca_file = Some(credentials.pki.ca_file());
    let gateway = TestGateway::with(config).await;
    Setting {
        carrier,
        credentials,
        handler,
        gateway,
    }
}

/// `CN=cn-7`, and as alternative names `san-7` and `urn:dev:san-7`.
fn device_7(setting: &Setting) -> Files {
    let mut params = pki::client("san-7");
    let subject = &mut params.distinguished_name;
    subject.push(rcgen::DnType::CommonName, "cn-7");
    setting.credentials.pki.issue(&params, Key::Ecdsa)
}

/// Authenticate of a device that shows this certificate, and goes again.
async fn ask(
    setting: &Setting,
    shown: Option<&Files>,
    (clientid, username, password): (&str, &str, &str),
) -> CodeResponse {
    let address = setting.gateway.device_address();
    let connected = setting
        .carrier
        .try_connect(address, &setting.credentials, shown);
    let mut device = within("a connection", connected).await.unwrap();
    device.send("x").await;
    let conn = setting.handler.created().await;
    assert_eq!(setting.handler.received(1).await, b"x");
    let mut calls = Calls::new(&setting.gateway, &conn);
    let answer = authenticate(&mut calls, clientid, username, password).await;
    device.finish().await;
    setting.handler.closed().await;
    answer
}

async fn a_name_must_stand_where_it_is_looked_for(carrier: Carrier) {
    for (from, good, bad) in [
        (
            "any",
            &["cn-7", "san-7", "urn:dev:san-7"][..],
            &["cn-8", "cn-", "CN-7", "DNS:san-7"][..],
        ),
        ("cn", &["cn-7"], &["san-7", "urn:dev:san-7"]),
        ("san", &["san-7", "urn:dev:san-7"], &["cn-7", "dev:san-7"]),
    ] {
        let setting = listening(carrier, &format!("{{certificate: {{from: {from}}}}}")).await;
        let shown = device_7(&setting);
        for name in good {
            ok(&ask(&setting, Some(&shown), (name, "", "")).await);
        }
        for name in bad {
            let answer = ask(&setting, Some(&shown), (name, "", "")).await;
            refused(
                &answer,
                ResultCode::PermissionDeny,
                "certificate is not for this clientid",
            );
        }
    }
}

async fn a_username_may_be_what_stands_there(carrier: Carrier) {
    let setting = listening(carrier, "{certificate: {name: username, from: cn}}").await;
    let shown = device_7(&setting);
    ok(&ask(&setting, Some(&shown), ("anything", "cn-7", "")).await);
    for username in ["san-7", ""] {
        let answer = ask(&setting, Some(&shown), ("cn-7", username, "")).await;
        refused(
            &answer,
            ResultCode::PermissionDeny,
            "certificate is not for this username",
        );
    }
}

/// A chain in which a file comes after the certificate.
async fn with_a_file(carrier: Carrier) -> (tempfile::TempDir, Setting) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    std::fs::write(&path, format!("u:{}\n", argon2id(b"hunter2"))).unwrap();
    let chain = format!(
        "{{certificate: {{}}}}, {{file: {{path: {}}}}}",
        path.display()
    );
    (folder, listening(carrier, &chain).await)
}

async fn who_shows_none_is_left_to_the_next_one(carrier: Carrier) {
    let (_folder, setting) = with_a_file(carrier).await;
    ok(&ask(&setting, None, ("cn-7", "u", "hunter2")).await);
    let answer = ask(&setting, None, ("cn-7", "u", "hunter3")).await;
    refused(
        &answer,
        ResultCode::PermissionDeny,
        "bad username or password",
    );
    // Where there is no next one, nobody lets it in.
    let alone = listening(carrier, "{certificate: {}}").await;
    let answer = ask(&alone, None, ("cn-7", "u", "hunter2")).await;
    refused(
        &answer,
        ResultCode::PermissionDeny,
        "no authenticator knows this client",
    );
}

async fn who_shows_one_for_another_is_denied(carrier: Carrier) {
    let (_folder, setting) = with_a_file(carrier).await;
    let shown = device_7(&setting);
    // It needs no password, and no password helps.
    ok(&ask(&setting, Some(&shown), ("cn-7", "", "")).await);
    let answer = ask(&setting, Some(&shown), ("cn-8", "u", "hunter2")).await;
    refused(
        &answer,
        ResultCode::PermissionDeny,
        "certificate is not for this clientid",
    );
}
