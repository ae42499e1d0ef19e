//! The adapter's callers: what they show, and how the tests call as one of them.

use std::{fs, net::SocketAddr};

use config::{Caller, Config, Scope, ServerTls, Verify};
use exproto_tests::{
    Credentials, TestGateway, TestHandler, carrier, gateway::config, pki::Files, within,
};
use hyper_util::rt::TokioIo;
use proto::exproto::{
    AuthenticateRequest, CloseSocketRequest, CodeResponse, PublishRequest, RawPublishRequest,
    SendBytesRequest, SubscribeRequest, TimerRequest, UnsubscribeRequest,
    connection_adapter_client::ConnectionAdapterClient,
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tonic::{
    Code, Request, Response, Status,
    transport::{Channel, Endpoint},
};

/// What each call needs.
mod scopes;
/// Who is known by a token.
mod tokens;
/// Who is known by a certificate, and the adapter's own.
mod certificates;
/// A mirror, whose calls are not carried out.
mod mirror;

/// The adapter's methods, and what each needs.
const METHODS: [(&str, Scope); 8] = [
    ("Send", Scope::Send),
    ("Close", Scope::Send),
    ("Authenticate", Scope::Session),
    ("StartTimer", Scope::Session),
    ("Subscribe", Scope::Session),
    ("Unsubscribe", Scope::Session),
    ("Publish", Scope::Publish),
    ("RawPublish", Scope::Raw),
];

/// A caller with a token, which is a file of its own in the folder.
pub(crate) fn caller(folder: &TempDir, name: &str, scopes: &[Scope]) -> Caller {
    let token_file = folder.path().join(name);
    fs::write(&token_file, token(name)).unwrap();
    Caller {
        name: name.to_owned(),
        token_file: Some(token_file),
        certificate: None,
        scopes: scopes.to_vec(),
        mirror: false,
    }
}

pub(crate) fn token(name: &str) -> String {
    format!("{name}-0123456789abcdef")
}

/// TLS of the adapter.
fn tls(credentials: &Credentials, verify: Verify) -> ServerTls {
    ServerTls {
        certificate: Some(config::Certificate {
            chain: credentials.server.chain.clone(),
            key: credentials.server.key.clone(),
        }),
        verify,
        ca_file: (verify != Verify::None).then(|| credentials.pki.ca_file()),
        crl_file: None,
    }
}

async fn started(handler: &TestHandler, adapt: impl FnOnce(&mut Config)) -> TestGateway {
    let mut config = config(&[handler]);
    adapt(&mut config);
    TestGateway::with(config).await
}

/// A connection to the adapter over TLS, with a certificate where one is given.
fn secure(address: SocketAddr, credentials: &Credentials, own: Option<&Files>) -> Channel {
    let (credentials, own) = (credentials.clone(), own.cloned());
    let connector = tower::service_fn(move |_| {
        let (credentials, own) = (credentials.clone(), own.clone());
        async move {
            let socket = TcpStream::connect(address).await?;
            let stream = carrier::tls(socket, &credentials, own.as_ref()).await;
            stream.map(TokioIo::new).map_err(std::io::Error::other)
        }
    });
    Endpoint::from_static("http://gateway.test").connect_with_connector_lazy(connector)
}

/// Calls one method, with its plainest arguments.
async fn call(
    channel: &Channel,
    method: &str,
    token: Option<&str>,
) -> Result<CodeResponse, Status> {
    let mut adapter = ConnectionAdapterClient::new(channel.clone());
    let answer = match method {
        "Send" => {
            adapter
                .send(bearing(SendBytesRequest::default(), token))
                .await
        }
        "Close" => {
            adapter
                .close(bearing(CloseSocketRequest::default(), token))
                .await
        }
        "Authenticate" => {
            let request = bearing(AuthenticateRequest::default(), token);
            adapter.authenticate(request).await
        }
        "StartTimer" => {
            adapter
                .start_timer(bearing(TimerRequest::default(), token))
                .await
        }
        "Subscribe" => {
            adapter
                .subscribe(bearing(SubscribeRequest::default(), token))
                .await
        }
        "Unsubscribe" => {
            let request = bearing(UnsubscribeRequest::default(), token);
            adapter.unsubscribe(request).await
        }
        "Publish" => {
            adapter
                .publish(bearing(PublishRequest::default(), token))
                .await
        }
        "RawPublish" => {
            adapter
                .raw_publish(bearing(RawPublishRequest::default(), token))
                .await
        }
        other => panic!("{other}"),
    };
    answer.map(Response::into_inner)
}

pub(crate) fn bearing<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    request
}

/// Why a call was not let through; `None` where it was.
async fn turned_away(channel: &Channel, method: &str, token: Option<&str>) -> Option<Code> {
    let answer = within("an answer", call(channel, method, token)).await;
    answer.err().map(|status| status.code())
}
