//! This pod, as other pods ask it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use proto::{
    cluster::{Manage, Managed, PeerAnswer},
    stream::command::Kind,
};

use crate::{adapter::Adapter, management::Management, peers};

/// Its parts that others ask.
pub(super) struct Local {
    adapter: Arc<Adapter>,
    management: Management,
}

impl Local {
    pub(super) fn new(adapter: &Arc<Adapter>, management: &Management) -> Self {
        Self {
            adapter: adapter.clone(),
            management: management.clone(),
        }
    }
}

impl peers::Local for Local {
    fn carry_out<'a>(
        &'a self,
        conn: &'a str,
        command: Kind,
        by_mirror: bool,
    ) -> BoxFuture<'a, PeerAnswer> {
        Box::pin(self.adapter.passed_here(conn, command, by_mirror))
    }

    fn give_up<'a>(&'a self, clientid: &'a str, claim: u64) -> BoxFuture<'a, ()> {
        Box::pin(self.adapter.clients.give_up(clientid, claim))
    }

    fn manage(&self, manage: Manage) -> BoxFuture<'_, Managed> {
        Box::pin(self.management.answer_pod(manage))
    }
}
