//! A service over HTTP. Redirects are not followed, and no proxy of the environment is used: a question may hold a
//! password, and goes where the configuration says.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Client, Method, StatusCode,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use serde::Serialize;
use tokio::{sync::Semaphore, time::timeout};

use super::{Error, secret};
use crate::tls::client;

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// One service, as its settings say. Clones are the same.
#[derive(Clone)]
pub struct Web(Arc<Inner>);

struct Inner {
    client: Client,
    url: String,
    /// The same as errors show it.
    shown: String,
    timeout: Duration,
    max_answer: usize,
    places: Semaphore,
    /// Places, and for those who wait for one; whoever finds none fails at once.
    room: Semaphore,
}

/// What a service said.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, at most `max_answer` bytes.
    pub body: Bytes,
}

/// Why there is no answer. Holds neither the question nor the answer.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// Nothing came in time.
    #[error("{url} did not answer within {limit:?}")]
    TimedOut {
        /// Whom we asked.
        url: String,
        /// How long we waited.
        limit: Duration,
    },
    /// As many wait already as may.
    #[error("{url} is asked by too many already (client.max_waiting)")]
    Busy {
        /// Whom we wanted to ask.
        url: String,
    },
    /// The exchange failed.
    #[error("cannot ask {url}")]
    Failed {
        /// Whom we asked.
        url: String,
        /// What the library said.
        source: reqwest::Error,
    },
    /// The answer is larger than is read.
    #[error("the answer of {url} is over {limit} bytes, which is max_answer")]
    TooLarge {
        /// Whom we asked.
        url: String,
        /// The limit.
        limit: usize,
    },
}

impl Web {
    /// Reads the files that the settings name. Blocks for as long as they take to read.
    pub fn new(url: &config::HttpUrl, config: &config::HttpClient) -> Result<Self, Error> {
        let failed = |source: reqwest::Error| Error::Client {
            what: "a service over HTTP",
            source: source.into(),
        };
        let mut builder = Client::builder()
            .default_headers(headers(config)?)
            .user_agent(concat!("exproto-gateway/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .pool_idle_timeout(IDLE)
            .connect_timeout(config.timeout);
        if !url.is_secure() && !url.is_local() {
            let address = url.shown();
            tracing::warn!(
                address,
                "what this service is asked and answers can be read and changed on its way; write https://"
            );
        }
        if url.is_secure() {
            let (ca_file, certificate) = (config.ca_file.as_deref(), config.certificate.as_ref());
            let (trust, expired) = client::config(ca_file, certificate)?;
            for error in expired {
                tracing::error!(service = url.shown(), %error, "the service will refuse this gateway");
            }
            builder = builder.tls_backend_preconfigured(trust);
        } else {
            // Else it would look for authorities that it does not need.
            builder = builder.tls_backend_preconfigured(client::nobody());
        }
        Ok(Self(Arc::new(Inner {
            client: builder.build().map_err(failed)?,
            url: url.to_string(),
            shown: url.shown(),
            timeout: config.timeout,
            max_answer: config.max_answer.bytes(),
            places: Semaphore::new(config.max_concurrent as usize),
            room: Semaphore::new((config.max_concurrent + config.max_waiting) as usize),
        })))
    }

    /// The files that [`Web::new`] reads.
    #[must_use]
    pub fn files(config: &config::HttpClient) -> Vec<PathBuf> {
        let certificate = config.certificate.iter();
        certificate
            .flat_map(|each| [&each.chain, &each.key])
            .chain(&config.ca_file)
            .chain(&config.token_file)
            .cloned()
            .collect()
    }

    /// GET.
    pub async fn get(&self) -> Result<Answer, WebError> {
        self.exchange(Method::GET, None::<&()>).await
    }

    /// POST of JSON.
    pub async fn post(&self, question: &(impl Serialize + Sync)) -> Result<Answer, WebError> {
        self.exchange(Method::POST, Some(question)).await
    }

    async fn exchange(
        &self,
        method: Method,
        question: Option<&(impl Serialize + Sync)>,
    ) -> Result<Answer, WebError> {
        let limit = self.0.timeout;
        let room = self.0.room.try_acquire();
        let _room = room.map_err(|_| WebError::Busy {
            url: self.0.shown.clone(),
        })?;
        let answer = timeout(limit, async {
            let place = self.0.places.acquire().await;
            let _place = place.expect("the places are never closed");
            let mut request = self.0.client.request(method, &self.0.url);
            if let Some(question) = question {
                request = request.json(question);
            }
            self.read(request).await
        });
        answer.await.unwrap_or_else(|_| {
            Err(WebError::TimedOut {
                url: self.0.shown.clone(),
                limit,
            })
        })
    }

    async fn read(&self, request: reqwest::RequestBuilder) -> Result<Answer, WebError> {
        let failed = |source: reqwest::Error| WebError::Failed {
            url: self.0.shown.clone(),
            // It says the address once more.
            source: source.without_url(),
        };
        let mut response = request.send().await.map_err(failed)?;
        let limit = self.0.max_answer;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > limit {
                let url = self.0.shown.clone();
                return Err(WebError::TooLarge { url, limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: response.status().as_u16(),
            body: body.freeze(),
        })
    }
}

impl Answer {
    /// 200.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.status == StatusCode::OK.as_u16()
    }

    /// 204.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.status == StatusCode::NO_CONTENT.as_u16()
    }
}

fn headers(config: &config::HttpClient) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        ) {
            headers.insert(name, value);
        }
    }
    if let Some(path) = &config.token_file {
        let token = format!("Bearer {}", secret(path)?);
        let mut value = HeaderValue::from_str(&token).map_err(|_| Error::Secret {
            path: path.clone(),
            problem: "holds what no header can carry; write a token of printable ASCII",
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}
