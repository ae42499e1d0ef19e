//! Who may publish and subscribe to what: asked by the adapter before each Publish and Subscribe.
//!
//! Topics are those of the client, before its mountpoint. Rules that came with its authentication decide first, then
//! the sources in turn, then the default. A source that fails denies, and is never taken for one that allows.

/// Who asks, what for, and how it is told no.
mod question;
/// Rules in their order.
pub mod rules;
/// How filters of rules are held against what is wanted.
mod filter;
/// What is remembered of slow sources.
mod cache;
/// What is asked, one after the other.
mod source;

use std::{path::PathBuf, sync::Arc, time::Instant};

use arc_swap::{ArcSwap, Guard};
use config::{Authorization, Permission};
use parking_lot::Mutex;

use self::{
    cache::Limits,
    question::Act,
    source::{Answer, Source},
};
pub use self::{
    question::{Access, Asker, Denied, Verb, Wanted},
    rules::Rules,
    source::Error,
};
use crate::metrics::{Decided, DecidedBy, Metrics};

/// Decides, and takes other rules while it does. Clones are the same.
#[derive(Clone)]
pub struct Authorizer(Arc<Inner>);

struct Inner {
    state: ArcSwap<State>,
    /// Held while the state is replaced.
    replacing: Mutex<()>,
    metrics: Arc<Metrics>,
}

/// What decisions are made by.
struct State {
    config: Authorization,
    /// One for each of `config.sources`.
    sources: Vec<Source>,
    /// Counts the states.
    generation: u64,
}

/// A new configuration for which everything is ready; nothing that follows can fail.
pub struct Prepared {
    config: Authorization,
    /// Unset: the one that is there for the same configuration.
    sources: Vec<Option<Source>>,
}

/// The files that a configuration names.
#[must_use]
pub fn files(config: &Authorization) -> Vec<PathBuf> {
    config.sources.iter().flat_map(source::files).collect()
}

impl Authorizer {
    /// Reads what the configuration names.
    pub fn new(config: &Authorization, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let sources = config.sources.iter().map(Source::load);
        let state = State {
            sources: sources.collect::<Result<_, _>>()?,
            config: config.clone(),
            generation: 0,
        };
        Ok(Self(Arc::new(Inner {
            state: ArcSwap::from_pointee(state),
            replacing: Mutex::default(),
            metrics,
        })))
    }

    /// What cannot be used of what the configuration names.
    #[must_use]
    pub fn check(config: &Authorization) -> Vec<Error> {
        let sources = config.sources.iter().map(Source::load);
        sources.filter_map(Result::err).collect()
    }

    /// Makes everything ready for a new configuration, and changes nothing.
    pub fn prepare(&self, config: &Authorization) -> Result<Prepared, Error> {
        let state = self.0.state.load();
        let prepare = |source| {
            let is_there = state.config.sources.contains(source);
            (!is_there).then(|| Source::load(source)).transpose()
        };
        let sources = config.sources.iter().map(prepare);
        Ok(Prepared {
            sources: sources.collect::<Result<_, _>>()?,
            config: config.clone(),
        })
    }

    /// Takes a new configuration. There must have been no other since it was prepared.
    pub fn apply(&self, prepared: Prepared) {
        let Prepared { config, sources } = prepared;
        self.replace(|state| {
            if state.config == config {
                return None;
            }
            let of_before = |source| {
                let mut known = state.config.sources.iter().zip(&state.sources);
                let same = known.find(|(known, _)| *known == source);
                same.expect("it was there when this was prepared").1.clone()
            };
            let sources = config.sources.iter().zip(sources);
            Some(State {
                sources: sources
                    .map(|(source, loaded)| loaded.unwrap_or_else(|| of_before(source)))
                    .collect(),
                config,
                generation: state.generation + 1,
            })
        });
    }

    /// Reads files again that have changed. What cannot be used is said, and what was read before stays.
    pub fn refresh(&self, changed: &[PathBuf]) {
        self.replace(|state| {
            let mut sources = state.sources.clone();
            let mut is_other = false;
            for (config, source) in state.config.sources.iter().zip(&mut sources) {
                if !source::files(config)
                    .iter()
                    .any(|file| changed.contains(file))
                {
                    continue;
                }
                let loaded = Source::load(config);
                self.0.metrics.reloaded("authorization", loaded.is_ok());
                match loaded {
                    Ok(loaded) => {
                        *source = loaded;
                        is_other = true;
                        tracing::info!(source = config.as_str(), "took changed rules");
                    }
                    Err(error) => {
                        let error = format!("{:#}", anyhow::Error::from(error));
                        tracing::error!(
                            error,
                            "the changed rules are not taken; the old ones stay in use"
                        );
                    }
                }
            }
            is_other.then(|| State {
                config: state.config.clone(),
                sources,
                generation: state.generation + 1,
            })
        });
    }

    fn replace(&self, next: impl FnOnce(&State) -> Option<State>) {
        let _replacing = self.0.replacing.lock();
        if let Some(next) = next(&self.0.state.load()) {
            self.0.state.store(Arc::new(next));
        }
    }

    /// Whether a client may do what it wants.
    pub async fn authorize(&self, asker: &Asker<'_>, wanted: &Wanted<'_>) -> Result<(), Denied> {
        let state = self.0.state.load();
        let (by, decided) = match state.at_once(asker, wanted) {
            AtOnce::Decided(by, permission) => (by, permission.into()),
            AtOnce::Ask(first) => {
                let state = Guard::into_inner(state);
                state.ask(first, asker, wanted).await
            }
        };
        self.0.metrics.authorized(by, decided);
        match decided {
            Decided::Allowed => Ok(()),
            Decided::Denied => Err(Denied::NotAllowed(Act::of(wanted))),
            Decided::Failed => Err(Denied::Unavailable(Act::of(wanted))),
        }
    }
}

/// What can be said without asking anybody.
enum AtOnce {
    Decided(DecidedBy, Permission),
    /// It takes this source, and maybe those after it.
    Ask(usize),
}

impl State {
    fn at_once(&self, asker: &Asker<'_>, wanted: &Wanted<'_>) -> AtOnce {
        let access = asker.access;
        if access.superuser {
            return AtOnce::Decided(DecidedBy::Superuser, Permission::Allow);
        }
        let granted = access.granted.as_ref();
        if let Some(permission) = granted.and_then(|rules| rules.decide(asker, wanted)) {
            return AtOnce::Decided(DecidedBy::Granted, permission);
        }
        for (index, source) in self.sources.iter().enumerate() {
            let Source::File(rules) = source else {
                return AtOnce::Ask(index);
            };
            if let Some(permission) = rules.decide(asker, wanted) {
                return AtOnce::Decided(DecidedBy::File, permission);
            }
        }
        let (by, permission) = self.otherwise(asker, wanted);
        AtOnce::Decided(by, permission)
    }

    /// Asks the sources from the first slow one on, unless the answer is known.
    async fn ask(
        &self,
        first: usize,
        asker: &Asker<'_>,
        wanted: &Wanted<'_>,
    ) -> (DecidedBy, Decided) {
        let (cache, limits) = (&asker.access.cache, self.cache());
        let known = limits.and_then(|_| cache.get(wanted, self.generation, Instant::now()));
        if let Some(permission) = known {
            return (DecidedBy::Cache, permission.into());
        }
        let mut decided = None;
        for source in &self.sources[first..] {
            match source.ask(asker, wanted).await {
                Answer::Decided(permission) => decided = Some((source.name(), permission)),
                Answer::Ignored => continue,
                Answer::Failed => return (source.name(), Decided::Failed),
            }
            break;
        }
        let (by, permission) = decided.unwrap_or_else(|| self.otherwise(asker, wanted));
        if let Some(limits) = limits {
            cache.put(wanted, permission, self.generation, limits, Instant::now());
        }
        (by, permission.into())
    }

    /// Where nothing has decided.
    fn otherwise(&self, asker: &Asker<'_>, wanted: &Wanted<'_>) -> (DecidedBy, Permission) {
        let has_rules = !self.sources.is_empty() || asker.access.granted.is_some();
        match self.config.default {
            _ if wanted.is_system() => (DecidedBy::System, Permission::Deny),
            Some(written) => (DecidedBy::Default, written),
            None if has_rules => (DecidedBy::Default, Permission::Deny),
            None => (DecidedBy::Nothing, Permission::Allow),
        }
    }

    fn cache(&self) -> Option<Limits> {
        let cache = &self.config.cache;
        cache.ttl.map(|ttl| Limits {
            ttl,
            entries: cache.max_entries as usize,
        })
    }
}

#[cfg(test)]
mod tests;
