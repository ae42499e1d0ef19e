//! Keys and channels in Redis. They have the same text in every mode; the part in braces decides which node of a Redis
//! Cluster has them.

/// Topics are spread over so many parts. It is the same for ever: all pods must agree.
pub(super) const PARTITIONS: u8 = 128;

/// The names of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// Such as `exproto:default:`.
    prefix: String,
    changed: String,
}

/// One part of all topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(u8);

impl Partition {
    /// The part that a topic is in.
    pub(super) fn of(topic: &str) -> Self {
        // The low bits of FNV-1a differ wherever texts do.
        let hash = topic.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        let number = (hash ^ (hash >> 16)) % u32::from(PARTITIONS);
        Self(u8::try_from(number).expect("less than the number of partitions"))
    }

    /// The one of that number.
    #[must_use]
    pub fn numbered(number: u32) -> Option<Self> {
        let number = u8::try_from(number).ok()?;
        (number < PARTITIONS).then_some(Self(number))
    }

    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS).map(Self)
    }

    /// Its number.
    #[must_use]
    pub fn index(self) -> usize {
        self.0.into()
    }
}

impl Names {
    /// Those under this prefix, which names the cluster.
    pub(super) fn new(prefix: String) -> Self {
        Self {
            changed: format!("{prefix}{{filters}}.changed"),
            prefix,
        }
    }

    /// Where messages to that topic go, which is also a filter without wildcards.
    pub(super) fn topic(&self, topic: &str) -> String {
        let partition = Partition::of(topic).0;
        format!("{}{{p{partition:02}}}.t.{topic}", self.prefix)
    }

    /// The topic whose messages go there; none for what is no such channel.
    pub(super) fn topic_in<'a>(&self, channel: &'a str) -> Option<&'a str> {
        let rest = channel.strip_prefix(&*self.prefix)?;
        let (_, topic) = rest.strip_prefix("{p")?.split_once("}.t.")?;
        Some(topic)
    }

    /// Where messages of `QoS` 1 and 2 of a part of all topics are kept for a while.
    pub(super) fn log(&self, partition: Partition) -> String {
        format!("{}{{p{:02}}}.log", self.prefix, partition.0)
    }

    /// What tells whether a log is still the one that it was: a text that whoever comes first writes there.
    pub(super) fn mark(&self, partition: Partition) -> String {
        format!("{}{{p{:02}}}.mark", self.prefix, partition.0)
    }

    /// The retained messages of a part of all topics, by topic.
    pub(super) fn retained(&self, partition: Partition) -> String {
        format!("{}{{p{:02}}}.retained", self.prefix, partition.0)
    }

    /// Which change was the last, and of which data, and since when they have been there.
    pub(super) fn retained_state(&self, partition: Partition) -> String {
        format!("{}.state", self.retained(partition))
    }

    /// Topics of which nothing was there when it was removed, for a while.
    pub(super) fn retained_gone(&self, partition: Partition) -> String {
        format!("{}.gone", self.retained(partition))
    }

    /// Where pods hear of changes.
    pub(super) fn retained_changed(&self, partition: Partition) -> String {
        format!("{}.changed", self.retained(partition))
    }

    /// The part whose changes are heard there; none for what is no such channel.
    pub(super) fn changed_in(&self, channel: &str) -> Option<Partition> {
        let rest = channel.strip_prefix(&*self.prefix)?;
        let number = rest
            .strip_prefix("{p")?
            .strip_suffix("}.retained.changed")?;
        Partition::numbered(number.parse().ok()?)
    }

    /// Which pod has a clientid.
    pub(crate) fn client(&self, clientid: &str) -> String {
        let partition = Partition::of(clientid).0;
        format!("{}{{p{partition:02}}}.client.{clientid}", self.prefix)
    }

    /// What waits in the session of that client.
    pub(crate) fn session_messages(&self, clientid: &str) -> String {
        let partition = Partition::of(clientid).0;
        format!("{}{{p{partition:02}}}.messages.{clientid}", self.prefix)
    }

    /// Whose sessions a life of a pod has, and how far it had heard.
    pub(crate) fn sessions(&self, life: &str) -> String {
        let partition = Partition::of(life).0;
        format!("{}{{p{partition:02}}}.sessions.{life}", self.prefix)
    }

    /// Where a pod is told what its wildcards and groups want.
    pub(super) fn inbox(&self, pod: &str) -> String {
        format!(
            "{}{{p{:02}}}.inbox.{pod}",
            self.prefix,
            Partition::of(pod).0
        )
    }

    /// What a pod wants, filter by filter.
    pub(super) fn filters(&self, pod: &str) -> String {
        format!("{}{{filters}}.of.{pod}", self.prefix)
    }

    /// The changes of what pods want, in order.
    pub(super) fn changes(&self) -> String {
        format!("{}{{filters}}.changes", self.prefix)
    }

    /// Where pods hear of them at once.
    pub(super) fn changed(&self) -> &str {
        &self.changed
    }

    /// Where each pod is called.
    pub(super) fn addresses(&self) -> String {
        format!("{}{{filters}}.addresses", self.prefix)
    }

    /// The pods that are unready because they are deaf, and until when.
    pub(super) fn deaf(&self) -> String {
        format!("{}{{filters}}.deaf", self.prefix)
    }

    /// The bans of all pods, by whom they name.
    pub(crate) fn bans(&self) -> String {
        format!("{}{{filters}}.bans", self.prefix)
    }

    /// What changes with them.
    pub(crate) fn bans_version(&self) -> String {
        format!("{}{{filters}}.bans.version", self.prefix)
    }

    /// The lives of pods that are not over, and until when each has said that it goes on.
    pub(crate) fn lives(&self) -> String {
        format!("{}{{filters}}.lives", self.prefix)
    }

    /// Where the pod of each of them is called.
    pub(crate) fn lives_at(&self) -> String {
        format!("{}{{filters}}.lives.at", self.prefix)
    }

    /// Which pod sees to what is left of a life.
    pub(crate) fn heir(&self, life: &str) -> String {
        format!("{}{{filters}}.heir.{life}", self.prefix)
    }

    /// That a life is over, whatever its pod believes.
    pub(crate) fn fence(&self, life: &str) -> String {
        format!("{}{{filters}}.fence.{life}", self.prefix)
    }

    /// Which handler knows which connection of a life.
    pub(crate) fn known(&self, life: &str) -> String {
        let partition = Partition::of(life).0;
        format!("{}{{p{partition:02}}}.known.{life}", self.prefix)
    }

    /// The pods, and until when each has said that it lives.
    pub(super) fn pods(&self) -> String {
        format!("{}{{filters}}.pods", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_leads_back_to_its_topic() {
        let names = Names::new("exproto:default:".to_owned());
        for text in ["a", "a/b", "{p1}.t.x", "ä/☃", " ", "a}.t.b"] {
            let channel = names.topic(text);
            assert_eq!(names.topic_in(&channel), Some(text), "{channel}");
        }
        for other in [
            names.inbox("a"),
            names.changed().to_owned(),
            "exproto:other:{p01}.t.a".to_owned(),
        ] {
            assert_eq!(names.topic_in(&other), None, "{other}");
        }
    }

    #[test]
    fn a_channel_of_changes_leads_back_to_its_part() {
        let names = Names::new("exproto:default:".to_owned());
        for partition in Partition::all() {
            let channel = names.retained_changed(partition);
            assert_eq!(names.changed_in(&channel), Some(partition), "{channel}");
            assert_eq!(names.topic_in(&channel), None, "{channel}");
        }
        for topic in ["x}.retained.changed", "}.retained.changed", "a"] {
            assert_eq!(names.changed_in(&names.topic(topic)), None, "{topic}");
        }
    }

    #[test]
    fn topics_are_spread_evenly_and_all_versions_agree() {
        let mut counts = [0; PARTITIONS as usize];
        for number in 0..12_800 {
            counts[Partition::of(&format!("fleet/{number}/position")).index()] += 1;
        }
        // 100 each; the deviation is 10.
        assert!(
            counts.iter().all(|count| (50..=160).contains(count)),
            "{counts:?}"
        );
        let names = Names::new("exproto:default:".to_owned());
        // Worked out elsewhere.
        assert_eq!(names.topic("a"), "exproto:default:{p32}.t.a");
    }
}
