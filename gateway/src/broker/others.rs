//! Other pods, as the broker needs them: they are told what is wanted here and what was published here, and bring what was
//! published there.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Filter, Message, Topic, retained::Version, router::Recipients};

/// A pod, as an instance: its name, and when it started.
pub type Pod = Arc<str>;

/// Other pods.
pub trait Others: Send + Sync {
    /// There is one more subscription with this filter here.
    fn subscribed(&self, filter: &Filter);

    /// There is one less.
    fn unsubscribed(&self, filter: &Filter);

    /// Waits until others know that the filter is wanted here.
    ///
    /// # Errors
    /// It takes too long. They learn of it later.
    fn known<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<(), Away>>;

    /// Whom to tell of a message to this topic, besides those who subscribed to this very topic.
    fn wanted(&self, topic: &Topic) -> Wanted;

    /// Tells them. It may be lost, and never waits.
    fn send(&self, message: &Arc<Message>, to: Told);

    /// Tells them, and those who cannot be told now later. It has their messages when it is done.
    ///
    /// # Errors
    /// It takes too long. They may hear of it all the same.
    fn keep<'a>(&'a self, message: &'a Arc<Message>, to: Told) -> BoxFuture<'a, Result<(), Away>>;

    /// In how many parts all topics are, for the numbers of changes of what is retained.
    fn parts(&self) -> usize;

    /// Keeps the message for whoever subscribes later, in all pods and in place of its topic's older one; or removes that,
    /// if the payload is empty. Which change that was.
    ///
    /// # Errors
    /// It takes too long. It may be kept all the same.
    fn retain<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<Version, Away>>;
}

/// Other pods cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("other pods cannot be told: {0}")]
pub struct Away(pub String);

/// Who wants a topic.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The pods that have a filter with wildcards for it, each once.
    pub pods: Vec<Pod>,
    /// The groups that want it.
    pub groups: Vec<Sharing>,
}

/// A group on one pattern, and the other pods where it has members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// The whole filter.
    pub filter: Filter,
    /// The pods, one at least.
    pub pods: Vec<Pod>,
}

/// Whom a message is for, besides those who subscribed to its very topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The pods that have filters with wildcards for it.
    pub pods: Vec<Pod>,
    /// The groups that another pod serves, and which one.
    pub shares: Vec<(Filter, Pod)>,
    /// The change that it made to what all pods retain.
    pub retained: Option<Version>,
}

impl Told {
    /// Decides for each group whether it is served here or elsewhere, by chance, and serves those that are served here.
    /// Also tells how many were.
    pub(super) fn share(
        wanted: Wanted,
        recipients: &mut Recipients,
        message: &Arc<Message>,
    ) -> (Self, u64) {
        let mut told = Self {
            pods: wanted.pods,
            ..Self::default()
        };
        let mut served = 0;
        for Sharing { filter, pods } in wanted.groups {
            let here = recipients.groups.iter();
            let here = here.clone().position(|group| *group.filter() == filter);
            let here = here.map(|place| recipients.groups.swap_remove(place));
            let elsewhere = fastrand::usize(..pods.len() + usize::from(here.is_some()));
            if elsewhere == pods.len()
                && let Some(group) = &here
                && group.push(message)
            {
                served += 1;
                continue;
            }
            let pod = pods[elsewhere % pods.len()].clone();
            told.shares.push((filter, pod));
        }
        (told, served)
    }
}
