//! Passwords and tokens are not in what the program says, even where it says everything.

use exproto_gateway::auth::hash::argon2id;
use exproto_tests::{Device, Pod, RedisServer};
use proto::exproto::{AuthenticateRequest, ClientInfo};

use super::{python, served};

const PASSWORD: &str = "hunter2-or-something-else";

#[tokio::test]
async fn no_log_holds_a_password_or_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let users = write("users", &format!("u:{}", argon2id(PASSWORD.as_bytes())));
    let token = write("token", "a-token-of-the-gateway");
    let secret = write("secret", "a-secret-of-thirty-two-bytes-or-more");
    let redis = RedisServer::start().await;
    let hash = argon2id(PASSWORD.as_bytes());
    redis.cli(&["HSET", "exproto:user:r", "password_hash", &hash]);
    let mut service = python("service.py", &[]);
    let url = served(&mut service).await;
    let chain = format!(
        "authentication:\n  chain:\n  - jwt: {{secret_file: {secret}}}\n  - file: {{path: {users}}}\n  \
         - redis: {{server: {{url: \"{}\"}}}}\n  - http: {{url: \"{url}\", client: {{token_file: {token}}}}}\n\
         log: {{level: trace}}",
        redis.url(),
    );
    let mut pod = Pod::with("", &chain).await;
    let _device = Device::connect(pod.address()).await;
    let told = pod.connected().await;
    // A token that is expired, so that it is denied with a reason.
    let header = "eyJhbGciOiJIUzI1NiJ9";
    let forged = format!("{header}.eyJleHAiOjF9.c2lnbmF0dXJl");
    for (username, password) in [
        ("u", "wrong-and-still-secret"),
        ("r", "wrong-and-still-secret"),
        ("500", PASSWORD),
        ("rubbish", PASSWORD),
        ("deny", PASSWORD),
        ("t", &*forged),
        ("u", PASSWORD),
    ] {
        let clientinfo = ClientInfo {
            clientid: "truck-17".to_owned(),
            username: username.to_owned(),
            ..ClientInfo::default()
        };
        let request = AuthenticateRequest {
            conn: told.conn.clone(),
            clientinfo: Some(clientinfo),
            password: password.to_owned(),
        };
        let answer = pod.adapter().authenticate(request).await.unwrap();
        assert!(!answer.get_ref().message.contains(password));
    }
    pod.process.signal("-TERM");
    let said = [
        pod.process.output.all().await,
        pod.process.errors.all().await,
    ]
    .concat();
    assert!(said.contains("adapter call refused"), "the log is on");
    let secrets = [
        PASSWORD,
        "wrong-and-still-secret",
        &forged,
        "a-token-of-the-gateway",
        "a-secret-of-thirty-two-bytes-or-more",
        &hash,
    ];
    for secret in secrets {
        let line = said.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{line:?}");
    }
}
