//! The filters of one client. Dropped with the connection, which undoes them all.

use std::{collections::HashMap, sync::Arc};

use super::CallError;
use crate::broker::{Broker, Filter, Qos, Subscription, queue::Queue};

/// What one client has subscribed. Most connections subscribe to nothing, and then this holds nothing.
#[expect(clippy::box_collection, reason = "it is small while there are none")]
#[derive(Default)]
pub(super) struct Subscriptions(Option<Box<HashMap<Filter, Subscription>>>);

impl Subscriptions {
    /// Subscribes, or replaces the options of a filter that is there.
    pub(super) fn add(
        &mut self,
        broker: &Broker,
        queue: &Arc<Queue>,
        filter: Filter,
        qos: Qos,
        limit: u32,
    ) -> Result<(), CallError> {
        let held = self.0.get_or_insert_default();
        if held.len() >= limit as usize && !held.contains_key(&filter) {
            return Err(CallError::Limit(format!(
                "the connection has {limit} subscriptions, which is max_subscriptions; unsubscribe first"
            )));
        }
        let subscription = broker.subscribe(filter.clone(), qos, queue);
        held.insert(filter, subscription);
        Ok(())
    }

    /// Unsubscribes, where there is something.
    pub(super) fn remove(&mut self, filter: &Filter) {
        if let Some(held) = &mut self.0 {
            held.remove(filter);
        }
    }
}
