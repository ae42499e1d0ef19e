//! Clients: connections after Authenticate, by clientid.

use axum::{Json, extract::State, http::Uri};
use config::{Network, Transport};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Answer, Error, Fields, Management,
    fields::Named,
    guard::Caller,
    page::Page,
    pods::{Missing, Question},
};
use crate::connection::{Client, Description, Handle};

/// A client, as lists show it.
#[derive(Serialize)]
struct Shown<'a> {
    conn: &'a str,
    clientid: &'a str,
    username: &'a str,
    listener: &'a str,
    transport: Transport,
    device: String,
    mountpoint: &'a str,
    proto_name: &'a str,
    proto_ver: &'a str,
    connected_at: String,
    authenticated_at: String,
    expires_at: Option<String>,
}

impl<'a> Shown<'a> {
    fn of(handle: &'a Handle, client: &'a Client) -> Self {
        let origin = &client.origin;
        Self {
            conn: handle.id().as_str(),
            clientid: &client.clientid,
            username: &client.username,
            listener: handle.listener(),
            transport: handle.info().transport,
            device: handle.info().device.to_string(),
            mountpoint: &client.mountpoint,
            proto_name: &origin.proto_name,
            proto_ver: &origin.proto_ver,
            connected_at: handle.connected_at().to_string(),
            authenticated_at: origin.authenticated_at.to_string(),
            expires_at: origin.expires_at.map(|at| at.to_string()),
        }
    }
}

/// A client, as it is shown alone.
#[derive(Serialize)]
struct Detailed<'a> {
    #[serde(flatten)]
    shown: Shown<'a>,
    local: String,
    subscriptions: Vec<Value>,
    all_subscriptions: usize,
    messages_waiting: usize,
    message_bytes_waiting: usize,
}

/// Which clients are wanted.
struct Filter {
    clientid_prefix: Option<String>,
    username: Option<String>,
    listener: Option<String>,
    network: Option<Network>,
}

impl Filter {
    fn of(fields: &mut Fields) -> Result<Self, Error> {
        Ok(Self {
            clientid_prefix: fields.text("clientid_prefix"),
            username: fields.text("username"),
            listener: fields.text("listener"),
            network: fields.parse("network")?,
        })
    }

    fn wants(&self, handle: &Handle) -> bool {
        let Ok(client) = handle.client() else {
            return false;
        };
        let prefix = self.clientid_prefix.as_ref();
        let network = self.network.as_ref();
        prefix.is_none_or(|prefix| client.clientid.starts_with(prefix))
            && self
                .username
                .as_ref()
                .is_none_or(|name| client.username == *name)
            && self
                .listener
                .as_ref()
                .is_none_or(|name| handle.listener() == name)
            && network.is_none_or(|network| network.0.contains(&handle.info().device.ip()))
    }
}

pub(super) async fn list(
    State(management): State<Management>,
    question: Question,
    uri: Uri,
) -> Answer<Value> {
    let mut fields = Fields::of_query(&uri)?;
    let filter = Filter::of(&mut fields)?;
    let page = Page::of(&mut fields)?;
    fields.finish()?;
    let wanted = move |handle: &Handle| filter.wants(handle);
    let show = |handle: &Handle| {
        let client = handle.client().ok()?;
        serde_json::to_value(Shown::of(handle, client)).ok()
    };
    management
        .list("clients", &question, page, wanted, show)
        .await
}

pub(super) async fn show(
    State(management): State<Management>,
    Named(clientid): Named,
    question: Question,
    uri: Uri,
) -> Answer<Value> {
    Fields::of_query(&uri)?.finish()?;
    match management.detailed(&clientid).await {
        Err(here @ Error::NotFound(_)) => Ok(Json(management.elsewhere(&question, here).await?)),
        here => Ok(Json(here?)),
    }
}

impl Management {
    async fn detailed(&self, clientid: &str) -> Result<Value, Error> {
        let handle = self.client(clientid)?;
        let gone = |_| nobody(clientid);
        let description = handle.describe().await.map_err(gone)?;
        let client = handle.client().map_err(gone)?;
        let Description {
            subscriptions,
            all_subscriptions,
            messages_waiting,
            message_bytes_waiting,
        } = description;
        let subscriptions = subscriptions.into_iter();
        let detailed = Detailed {
            shown: Shown::of(&handle, client),
            local: handle.info().local.to_string(),
            subscriptions: subscriptions
                .map(|(filter, qos)| json!({ "filter": filter, "qos": qos }))
                .collect(),
            all_subscriptions,
            messages_waiting,
            message_bytes_waiting,
        };
        serde_json::to_value(detailed).map_err(|_| Error::Internal)
    }
}

pub(super) async fn kick(
    State(management): State<Management>,
    Named(clientid): Named,
    Caller(caller): Caller,
    question: Question,
    uri: Uri,
) -> Answer<Value> {
    Fields::of_query(&uri)?.finish()?;
    let kick = management.subjects().clients.kick(&clientid);
    // Its connection may be in one pod, and its session in another.
    let (here, answers) = tokio::join!(kick, management.ask_others(&question));
    let Some(handle) = here else {
        return Ok(Json(answers.found(nobody(&clientid))?));
    };
    let conn = handle.as_ref().map(|handle| handle.id().as_str());
    let device = handle.as_ref().map(|handle| handle.info().device);
    tracing::info!(caller, clientid, conn, ?device, "kicked a client");
    let mut answer = json!({ "kicked": { "clientid": clientid, "conn": conn } });
    if management.is_shared(&question) {
        let missing: Vec<_> = answers.missing.iter().map(Missing::shown).collect();
        answer["missing"] = missing.into();
    }
    Ok(Json(answer))
}

fn nobody(clientid: &str) -> Error {
    Error::NotFound(format!(
        "no client has the clientid \"{}\"",
        clientid.escape_debug()
    ))
}

impl Management {
    fn client(&self, clientid: &str) -> Result<Handle, Error> {
        let owner = self.subjects().clients.owner(clientid);
        // One that is being authenticated is nobody yet.
        let is_client = |handle: &Handle| handle.client().is_ok();
        owner.filter(is_client).ok_or_else(|| nobody(clientid))
    }
}
