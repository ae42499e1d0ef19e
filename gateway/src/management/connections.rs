//! Connections, be they clients or not authenticated yet.

use axum::{Json, extract::State, http::Uri};
use config::{Network, Transport};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Answer, Error, Fields, Management, fields::Named, guard::Caller, page::Page};
use crate::{
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

pub(super) async fn list(State(management): State<Management>, uri: Uri) -> Answer<Value> {
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
    let after = page.after_number()?;
    let wanted = move |handle: &Handle| {
        let device = handle.info().device.ip();
        authenticated.is_none_or(|wanted| handle.client().is_ok() == wanted)
            && listener
                .as_ref()
                .is_none_or(|name| handle.listener() == name)
            && network.is_none_or(|network| network.0.contains(&device))
    };
    let answer = management.scan(move |subjects| {
        let found = subjects.registry.page(after, page.limit + 1, wanted);
        let show = |(_, handle): &(u64, Handle)| serde_json::to_value(Shown::of(handle)).ok();
        page.answer("connections", found, |(number, _)| number.to_string(), show)
    });
    Ok(Json(answer.await?))
}

pub(super) async fn show(
    State(management): State<Management>,
    Named(conn): Named,
    uri: Uri,
) -> Answer<Value> {
    Fields::of_query(&uri)?.finish()?;
    let handle = management.connection(&conn)?;
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
    uri: Uri,
) -> Answer<Value> {
    Fields::of_query(&uri)?.finish()?;
    let handle = management.connection(&conn)?;
    let client = handle.client().ok();
    let clientid = client.map(|client| &*client.clientid);
    tracing::info!(caller, conn, device = %handle.info().device, clientid, "closed a connection");
    handle.end(CloseReason::Kicked);
    handle.ended().await;
    Ok(Json(
        json!({ "kicked": { "conn": conn, "clientid": clientid } }),
    ))
}

impl Management {
    fn connection(&self, conn: &str) -> Result<Handle, Error> {
        let subjects = self.subjects();
        let place = subjects.ids.locate(conn);
        let handle = match place.map_err(|error| Error::NotFound(error.to_string()))? {
            Place::Here(sequence) => subjects.registry.get(sequence),
            Place::Elsewhere(_) => None,
        };
        let gone =
            || Error::NotFound("this pod has no such connection; it may have ended".to_owned());
        handle.ok_or_else(gone)
    }
}
