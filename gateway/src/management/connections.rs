//! Connections, be they clients or not authenticated yet.

use axum::{Json, extract::State, http::Uri};
use config::{Network, Transport};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Answer, Error, Fields, Management, fields::Named, guard::Caller, page::Page, pods::Question,
};
use crate::{
    broker::others::Pod,
    conn_id::Place,
    connection::{CloseReason, Handle},
};

/// A connection, as it is shown.
#[derive(Serialize)]
struct Shown<'a> {
    conn: &'a str,
    listener: &'a str,
    transport: Transport,
    device: String,
    local: String,
    connected_at: String,
    clientid: Option<&'a str>,
}

impl<'a> Shown<'a> {
    fn of(handle: &'a Handle) -> Self {
        let info = handle.info();
        Self {
            conn: handle.id().as_str(),
            listener: handle.listener(),
            transport: info.transport,
            device: info.device.to_string(),
            local: info.local.to_string(),
            connected_at: handle.connected_at().to_string(),
            clientid: handle.client().ok().map(|client| &*client.clientid),
        }
    }
}

pub(super) async fn list(
    State(management): State<Management>,
    question: Question,
    uri: Uri,
) -> Answer<Value> {
    let mut fields = Fields::of_query(&uri)?;
    let authenticated: Option<bool> = match fields.text("authenticated").as_deref() {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => return Err(Error::field("authenticated", "write true or false")),
    };
    let listener = fields.text("listener");
    let network: Option<Network> = fields.parse("network")?;
    let page = Page::of(&mut fields)?;
    fields.finish()?;
    let wanted = move |handle: &Handle| {
        let device = handle.info().device.ip();
        authenticated.is_none_or(|wanted| handle.client().is_ok() == wanted)
            && listener
                .as_ref()
                .is_none_or(|name| handle.listener() == name)
            && network.is_none_or(|network| network.0.contains(&device))
    };
    let show = |handle: &Handle| serde_json::to_value(Shown::of(handle)).ok();
    management
        .list("connections", &question, page, wanted, show)
        .await
}

pub(super) async fn show(
    State(management): State<Management>,
    Named(conn): Named,
    question: Question,
    uri: Uri,
) -> Answer<Value> {
    Fields::of_query(&uri)?.finish()?;
    let handle = match management.connection(&conn)? {
        Found::Here(handle) => handle,
        Found::There(pod) => return management.ask_its_pod(&question, pod).await,
    };
    let mut shown = serde_json::to_value(Shown::of(&handle)).map_err(|_| Error::Internal)?;
    let certificate = handle.info().details.certificate();
    shown["certificate"] =
        certificate.map_or(Value::Null, |peer| json!({ "cn": peer.cn, "dn": peer.dn }));
    Ok(Json(shown))
}

pub(super) async fn close(
    State(management): State<Management>,
    Named(conn): Named,
    Caller(caller): Caller,
    question: Question,
    uri: Uri,
) -> Answer<Value> {
    Fields::of_query(&uri)?.finish()?;
    let handle = match management.connection(&conn)? {
        Found::Here(handle) => handle,
        Found::There(pod) => return management.ask_its_pod(&question, pod).await,
    };
    let client = handle.client().ok();
    let clientid = client.map(|client| &*client.clientid);
    tracing::info!(caller, conn, device = %handle.info().device, clientid, "closed a connection");
    handle.end(CloseReason::Kicked);
    handle.ended().await;
    Ok(Json(
        json!({ "kicked": { "conn": conn, "clientid": clientid } }),
    ))
}

/// A connection that is named.
enum Found {
    Here(Handle),
    /// It is, or was, that pod's.
    There(Pod),
}

impl Management {
    fn connection(&self, conn: &str) -> Result<Found, Error> {
        let subjects = self.subjects();
        let place = subjects.ids.locate(conn);
        match place.map_err(|error| Error::NotFound(error.to_string()))? {
            Place::Here(sequence) => {
                let found = subjects.registry.get(sequence);
                found.map(Found::Here).ok_or_else(gone)
            }
            Place::Elsewhere(pod) if self.has_others() => Ok(Found::There(pod)),
            Place::Elsewhere(_) => Err(gone()),
        }
    }

    async fn ask_its_pod(&self, question: &Question, pod: Pod) -> Answer<Value> {
        if question.is_of_pod {
            return Err(gone());
        }
        let path = question.path();
        let answers = self.ask(question, vec![(pod, path)]).await;
        Ok(Json(answers.found(gone())?))
    }
}

fn gone() -> Error {
    Error::NotFound("there is no such connection; it may have ended".to_owned())
}
