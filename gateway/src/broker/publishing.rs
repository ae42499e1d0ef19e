//! The way of a message to those who subscribed here, and to other pods: from whoever publishes it, and from there.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    Broker, Error, Filter, Inner, Message, Publication, Qos, Version, others::Told,
    retained::Audience, router::Recipients,
};

/// Who gets a message here, the message, and the change that it made to what all pods retain.
type Routed = (Recipients, Arc<Message>, Option<Version>);

impl Broker {
    /// `Ok` once the broker has accepted the message: once it is in every matching queue here and, where it must not be
    /// lost, where other pods find it; and where it is to be retained, once all pods can. Publications awaited one after
    /// the other arrive in that order in each queue.
    pub async fn publish(&self, publication: Publication) -> Result<(), Error> {
        self.check_size(&publication)?;
        let Some(routed) = (if publication.retain {
            Some(self.retain(publication).await?)
        } else {
            self.route(publication)
        }) else {
            self.0.stats.count_publication(0);
            return Ok(());
        };
        let (mut recipients, message, retained) = routed;
        let told = self.others_to_tell(&mut recipients, &message);
        let delivered = recipients.deliver(&message).await;
        let Some((others, (told, shared))) = self.0.others.as_ref().zip(told) else {
            self.0.stats.count_publication(delivered);
            return Ok(());
        };
        self.0.stats.count_publication(delivered + shared);
        let told = Told { retained, ..told };
        if message.qos == Qos::AtMostOnce {
            others.send(&message, told);
        } else {
            others.keep(&message, told).await?;
        }
        Ok(())
    }

    /// Like [`Self::publish`], but at once, however many there are: for the few who watch the gateway itself. Other pods
    /// may miss it, and it is never retained.
    pub fn publish_now(&self, publication: Publication) -> Result<(), Error> {
        self.check_size(&publication)?;
        let Some((mut recipients, message, _)) = self.route(publication) else {
            self.0.stats.count_publication(0);
            return Ok(());
        };
        let told = self.others_to_tell(&mut recipients, &message);
        let mut delivered = recipients.deliver_now(&message);
        if let Some((others, (told, shared))) = self.0.others.as_ref().zip(told) {
            delivered += shared;
            others.send(&message, told);
        }
        self.0.stats.count_publication(delivered);
        Ok(())
    }

    /// A message of another pod, for those who subscribed to its very topic; and the change that it made to what is
    /// retained.
    pub fn deliver_exact(&self, message: &Arc<Message>, retained: Option<Version>) {
        let route = || self.0.router.route_exact(&message.topic);
        let recipients = self.foreign(message, (retained, Audience::Exact), route);
        self.count_foreign(recipients.deliver_now(message));
    }

    /// The same, for those who subscribed with wildcards, and these groups.
    pub fn deliver_patterns(
        &self,
        message: &Arc<Message>,
        groups: &[Filter],
        retained: Option<Version>,
    ) {
        let route = || self.0.router.route_patterns(&message.topic, groups);
        let recipients = self.foreign(message, (retained, Audience::Patterns), route);
        self.count_foreign(recipients.deliver_now(message));
    }

    fn foreign(
        &self,
        message: &Arc<Message>,
        (retained, audience): (Option<Version>, Audience),
        route: impl FnOnce() -> Recipients,
    ) -> Recipients {
        match retained {
            Some(version) => self.0.retained.deliver(message, version, audience, route),
            None => route(),
        }
    }

    fn count_foreign(&self, delivered: u64) {
        self.0.stats.delivered.fetch_add(delivered, Relaxed);
    }

    /// Whom to tell elsewhere, where there is an elsewhere; and how many groups were served here.
    fn others_to_tell(
        &self,
        recipients: &mut Recipients,
        message: &Arc<Message>,
    ) -> Option<(Told, u64)> {
        let others = self.0.others.as_ref()?;
        let wanted = others.wanted(&message.topic);
        Some(Told::share(wanted, recipients, message))
    }

    fn check_size(&self, publication: &Publication) -> Result<(), Error> {
        let (size, limit) = (publication.payload.len(), self.0.settings.max_payload);
        if size > limit {
            return Err(Error::PayloadTooLarge { size, limit });
        }
        Ok(())
    }

    /// The message and who gets it here, unless nobody does here or elsewhere.
    fn route(&self, publication: Publication) -> Option<Routed> {
        let recipients = self.0.router.route(&publication.topic);
        // Without anybody it need not even be stamped.
        let some = self.0.others.is_some() || !recipients.is_empty();
        some.then(|| (recipients, self.stamp(publication), None))
    }

    /// The same, once the message is retained: in this pod, or in all.
    async fn retain(&self, publication: Publication) -> Result<Routed, Error> {
        let Inner {
            router, retained, ..
        } = &*self.0;
        let message = self.stamp(publication);
        let route = || router.route(&message.topic);
        let Some(others) = &self.0.others else {
            let recipients = retained.keep(&message, route)?;
            return Ok((recipients, message, None));
        };
        retained.check(&message)?;
        let version = others.retain(&message).await?;
        let recipients = retained.publish(&message, version, route);
        Ok((recipients, message, Some(version)))
    }

    fn stamp(&self, publication: Publication) -> Arc<Message> {
        Arc::new(self.0.stamp.stamp(publication))
    }
}
