//! Keys that a service shows. They are read now and then, and when a token names one that is not known; while the
//! service is away, those of before are good for a time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::keys::Keys;
use crate::{
    auth::Error,
    backoff::jittered,
    services::{Web, WebError},
};

/// The least time between two looks that tokens with unknown keys cause: anybody can write such a token.
const PAUSE: Duration = Duration::from_secs(10);
/// The first pause after a look that failed; it doubles up to `refresh`.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The keys of one address.
pub(super) struct Served {
    state: watch::Receiver<State>,
    wanted: Arc<Notify>,
    patience: Duration,
    max_age: Duration,
    url: String,
    _reading: AbortOnDropHandle<()>,
}

/// What is known of them.
#[derive(Clone, Default)]
struct State {
    keys: Option<(Keys, Instant)>,
    /// Looks that have ended, well or not.
    looks: u64,
    /// When the last one did.
    looked: Option<Instant>,
    /// Whether it was in vain.
    failed: bool,
}

/// There are no keys that are young enough, or none of that name and no way to ask for it.
#[derive(Debug, thiserror::Error)]
#[error("the keys of {0} could not be read")]
pub(super) struct NoKeys(String);

/// Why a look has failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Web(#[from] WebError),
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("the answer is no set of keys: {0}")]
    Content(String),
}

impl Served {
    /// Begins to read them. Those of `before` are good until there are others.
    pub(super) fn start(
        url: &config::HttpUrl,
        config: &config::Jwt,
        before: Option<&Self>,
    ) -> Result<Self, Error> {
        let web = Web::new(url, &config.client)?;
        let known = before.map(|before| before.state.borrow().clone());
        let (sender, state) = watch::channel(known.unwrap_or_default());
        let wanted = Arc::new(Notify::new());
        let reading = read_on(web, url.shown(), config.refresh, sender, wanted.clone());
        Ok(Self {
            state,
            wanted,
            patience: config.client.timeout,
            max_age: config.max_age,
            url: url.shown(),
            _reading: AbortOnDropHandle::new(tokio::spawn(reading)),
        })
    }

    /// The keys, after another look where none is named so and it is time for one.
    pub(super) async fn keys(&self, kid: Option<&str>) -> Result<Keys, NoKeys> {
        let state = self.state.borrow().clone();
        let known = self.young(&state);
        let fits = |keys: &Keys| keys.named(kid).next().is_some();
        if let Some(keys) = known.as_ref().filter(|keys| fits(keys)) {
            return Ok(keys.clone());
        }
        if state.looked.is_none_or(|looked| looked.elapsed() >= PAUSE) {
            self.wanted.notify_one();
            let mut later = self.state.clone();
            let looked = later.wait_for(|later| later.looks > state.looks);
            let _ = timeout(self.patience, looked).await;
        }
        let state = self.state.borrow().clone();
        match self.young(&state) {
            // The key may be a new one that nobody has told us of.
            Some(keys) if !state.failed || fits(&keys) => Ok(keys),
            _ => Err(NoKeys(self.url.clone())),
        }
    }

    fn young(&self, state: &State) -> Option<Keys> {
        let (keys, read) = state.keys.as_ref()?;
        (read.elapsed() < self.max_age).then(|| keys.clone())
    }
}

/// Reads again and again, until it is dropped.
async fn read_on(
    web: Web,
    url: String,
    refresh: Duration,
    state: watch::Sender<State>,
    wanted: Arc<Notify>,
) {
    let mut retry = FIRST_RETRY;
    loop {
        let looked = look(&web).await.map_err(anyhow::Error::from);
        let pause = match &looked {
            Ok(_) => {
                retry = FIRST_RETRY;
                jittered(refresh)
            }
            Err(failure) => {
                tracing::warn!(
                    url,
                    error = format!("{failure:#}"),
                    "cannot read the keys of tokens; those of before stay in use for max_age"
                );
                let pause = jittered(retry);
                retry = (retry * 2).min(refresh.max(FIRST_RETRY));
                pause
            }
        };
        let now = Instant::now();
        state.send_modify(|state| {
            state.failed = looked.is_err();
            if let Ok(keys) = looked {
                state.keys = Some((keys, now));
            }
            state.looks += 1;
            state.looked = Some(now);
        });
        let soon = async {
            // A wish from before this look has been fulfilled by it.
            while now.elapsed() < PAUSE {
                wanted.notified().await;
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = soon => {}
        }
    }
}

async fn look(web: &Web) -> Result<Keys, Failure> {
    let answer = web.get().await?;
    if !answer.is_ok() {
        return Err(Failure::Status(answer.status));
    }
    Keys::parse(&answer.body).map_err(Failure::Content)
}
