//! Rules of who may connect. The first rule that fits decides.

use std::net::IpAddr;

use config::AccessRule;
use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;

/// Rules, arranged so that thousands of them cost no more than a few: an address is looked up among the networks that
/// contain it, of which there are at most as many as it has bits.
pub struct AccessRules {
    networks: JointPrefixMap<IpNet, Decision>,
    /// Whether those are let in whom no network contains.
    otherwise: bool,
}

struct Decision {
    /// The place of the rule among the rules.
    place: usize,
    allow: bool,
}

impl AccessRules {
    /// In the order of the file.
    #[must_use]
    pub fn new(rules: &[AccessRule]) -> Self {
        let mut arranged = Self {
            networks: JointPrefixMap::new(),
            otherwise: true,
        };
        for (place, rule) in rules.iter().enumerate() {
            let Some(network) = rule.network else {
                // A rule for everybody decides whatever is left; no later one can.
                arranged.otherwise = rule.allow;
                break;
            };
            let decision = Decision {
                place,
                allow: rule.allow,
            };
            arranged.networks.entry(network.trunc()).or_insert(decision);
        }
        arranged
    }

    /// Whether a device from there is let in. IPv4-mapped addresses are IPv4 addresses.
    #[must_use]
    pub fn allows(&self, device: IpAddr) -> bool {
        if self.networks.is_empty() {
            return self.otherwise;
        }
        let device = IpNet::from(device.to_canonical());
        let fitting = self.networks.cover_values(&device);
        let first = fitting.min_by_key(|decision| decision.place);
        first.map_or(self.otherwise, |decision| decision.allow)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn rules(texts: &[&str]) -> AccessRules {
        let rules: Vec<AccessRule> = texts.iter().map(|text| text.parse().unwrap()).collect();
        AccessRules::new(&rules)
    }

    fn allows(rules: &AccessRules, device: &str) -> bool {
        rules.allows(device.parse().unwrap())
    }

    #[test]
    fn the_first_rule_that_fits_decides_and_not_the_longest() {
        let rules = rules(&["allow 10.1.0.0/16", "deny 10.0.0.0/8", "allow 10.2.3.4"]);
        assert!(allows(&rules, "10.1.2.3"));
        assert!(!allows(&rules, "10.2.3.4"));
        assert!(allows(&rules, "11.0.0.1"));
        assert!(allows(&rules, "fe80::1"));
    }

    #[test]
    fn of_two_rules_for_one_network_the_first_decides() {
        let rules = rules(&["deny 10.0.0.0/8", "allow 10.0.0.0/8"]);
        assert!(!allows(&rules, "10.0.0.1"));
    }

    #[test]
    fn no_rule_counts_after_one_for_everybody() {
        let rules = rules(&["allow 10.0.0.0/8", "deny all", "allow 11.0.0.0/8"]);
        assert!(allows(&rules, "10.0.0.1"));
        assert!(!allows(&rules, "11.0.0.1"));
        assert!(!allows(&rules, "::1"));
    }

    #[test]
    fn a_mapped_address_is_an_ipv4_address() {
        let rules = rules(&["deny 10.0.0.0/8", "allow ::/0", "deny all"]);
        assert!(!allows(&rules, "::ffff:10.0.0.1"));
        assert!(!allows(&rules, "::ffff:11.0.0.1"));
        assert!(allows(&rules, "::1"));
    }

    #[test]
    fn everybody_is_let_in_without_rules() {
        assert!(allows(&rules(&[]), "10.0.0.1"));
    }

    /// Addresses close to one another, so that networks contain them.
    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<[bool; 6]>().prop_map(|bits| Ipv4Addr::from_bits(spread(bits)).into()),
            any::<[bool; 6]>().prop_map(|bits| {
                let high = u128::from(spread(bits)) << 96;
                Ipv6Addr::from_bits(high | u128::from(spread(bits))).into()
            }),
        ]
    }

    fn spread(bits: [bool; 6]) -> u32 {
        let places = [31, 24, 17, 8, 1, 0];
        let set = places.iter().zip(bits).filter(|(_, bit)| *bit);
        set.map(|(place, _)| 1 << place).sum()
    }

    fn rule() -> impl Strategy<Value = AccessRule> {
        let network = (address(), any::<u8>()).prop_map(|(address, length)| {
            let longest = if address.is_ipv4() { 32 } else { 128 };
            IpNet::new(address, length % (longest + 1)).unwrap().trunc()
        });
        let network = prop_oneof![30 => network.prop_map(Some), 1 => Just(None)];
        (any::<bool>(), network).prop_map(|(allow, network)| AccessRule { allow, network })
    }

    fn by_definition(rules: &[AccessRule], device: IpAddr) -> bool {
        let fits =
            |rule: &&AccessRule| rule.network.is_none_or(|network| network.contains(&device));
        rules.iter().find(fits).is_none_or(|rule| rule.allow)
    }

    proptest! {
        #[test]
        fn they_decide_as_one_by_one(
            rules in prop::collection::vec(rule(), 0..60),
            devices in prop::collection::vec(address(), 1..40),
        ) {
            let arranged = AccessRules::new(&rules);
            for device in devices {
                prop_assert_eq!(arranged.allows(device), by_definition(&rules, device), "{}", device);
            }
        }
    }
}
