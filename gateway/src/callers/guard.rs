//! Where calls are let through or turned away, before their bodies are read.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use config::Scope;
use futures_util::future::Either;
use tonic::{Status, body::Body, server::NamedService};
use tower::Service;

use super::{Callers, OfMirror};
use crate::{
    door::Peer,
    metrics::{AdapterMethod, Metrics},
};

/// A call of a service: its name, in refusals and as a metric's label, and what it needs.
pub type Known = (&'static str, Scope);

/// The adapter's call of that name.
#[must_use]
pub fn adapter(called: &str) -> Option<Known> {
    let method = AdapterMethod::named(called)?;
    let scope = match method {
        AdapterMethod::Send | AdapterMethod::Close => Scope::Send,
        AdapterMethod::Authenticate
        | AdapterMethod::StartTimer
        | AdapterMethod::Subscribe
        | AdapterMethod::Unsubscribe => Scope::Session,
        AdapterMethod::Publish => Scope::Publish,
        AdapterMethod::RawPublish => Scope::Raw,
    };
    Some((method.as_str(), scope))
}

/// That of the service for back ends.
#[must_use]
pub fn backend(called: &str) -> Option<Known> {
    match called {
        "Publish" => Some(("Backend.Publish", Scope::BackendPublish)),
        "PublishStream" => Some(("Backend.PublishStream", Scope::BackendPublish)),
        "Subscribe" => Some(("Backend.Subscribe", Scope::BackendSubscribe)),
        _ => None,
    }
}

/// A service, behind a look at who calls.
#[derive(Clone)]
pub struct Guard<S> {
    inner: S,
    /// Its calls, by their names.
    calls: fn(&str) -> Option<Known>,
    /// `None`: everybody may do everything.
    callers: Option<Arc<Callers>>,
    metrics: Arc<Metrics>,
}

impl<S> Guard<S> {
    /// Lets through to `inner`, which has these calls, what these callers may call.
    pub fn new(
        (inner, calls): (S, fn(&str) -> Option<Known>),
        callers: Option<Arc<Callers>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            inner,
            calls,
            callers,
            metrics,
        }
    }

    fn check<B>(&self, request: &http::Request<B>) -> Result<Option<OfMirror>, Status> {
        let Some(callers) = &self.callers else {
            return Ok(None);
        };
        // A call that does not exist is answered so, to those who may call at all.
        let called = request.uri().path().rsplit('/').next().unwrap_or_default();
        let known = (self.calls)(called);
        let peer = request.extensions().get::<Peer>();
        let checked = match known {
            Some(call) => callers.check(request.headers(), peer, call),
            None => callers.identify(request.headers(), peer).map(|_| None),
        };
        checked.map_err(|refused| {
            let method = known.map_or("other", |(method, _)| method);
            self.metrics.adapter_refused(method, refused.reason());
            let address = peer.map(|peer| peer.address);
            tracing::debug!(
                method,
                ?address,
                reason = refused.reason(),
                "adapter call turned away"
            );
            Status::from(refused)
        })
    }
}

impl<S: NamedService> NamedService for Guard<S> {
    const NAME: &'static str = S::NAME;
}

type Response = http::Response<Body>;

impl<S> Service<http::Request<Body>> for Guard<S>
where
    S: Service<http::Request<Body>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        match self.check(&request) {
            Ok(mark) => {
                if let Some(mark) = mark {
                    request.extensions_mut().insert(mark);
                }
                Either::Right(self.inner.call(request))
            }
            Err(status) => Either::Left(ready(Ok(status.into_http()))),
        }
    }
}
