use super::{Edges, Node, Trie, Wanters as _, label::Label};
use crate::broker::router::Subscribers;

impl Trie<Subscribers> {
    /// The number of nodes, which is counted here and compared. There is none that has no reason to be.
    pub(in crate::broker::router) fn tidy_nodes(&self) -> usize {
        let nodes = tidy_below(&self.root);
        assert_eq!(nodes, self.nodes);
        nodes
    }
}

fn tidy_below(edges: &Edges<Subscribers>) -> usize {
    let below = |(label, node): (&Label, &Node<Subscribers>)| {
        let below = node.below.as_ref().map_or(0, |below| below.len());
        assert_eq!(
            below == 0,
            node.below.is_none(),
            "{label:?} keeps an empty box"
        );
        assert!(
            below > 1 || !node.wanters.is_empty(),
            "{label:?} could be joined or removed"
        );
        assert!(node.wanters.is_compact(), "{label:?} keeps a map");
        1 + node.below.as_ref().map_or(0, |below| tidy_below(below))
    };
    edges.all().map(below).sum()
}
