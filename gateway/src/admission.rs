//! Who is let in, and how fast.
//!
//! Each listener has a [`Gate`](crate::admission::Gate): the limits of the pod, those of the listener, and the bans. They can be changed at any
//! time; what is counted stays. Nothing here knows sockets or connections.

/// Who may connect, by address.
pub mod access;
/// Who is kept out for a time.
pub mod bans;
/// One rate.
pub mod bucket;
/// Addresses that were denied too often.
mod denials;
/// The limits of the pod or of a listener.
mod level;
/// What is known of addresses.
pub mod sources;
/// How fast bytes and messages pass.
pub mod traffic;

use std::{fmt, net::IpAddr, sync::Arc, time::Instant};

use level::Place;

pub use self::{
    access::AccessRules,
    bans::Bans,
    bucket::Pace,
    denials::Denials,
    level::Level,
    traffic::{Direction, Flow},
};

/// What stands before one listener.
#[derive(Clone)]
pub struct Gate {
    pod: Arc<Level>,
    listener: Arc<Level>,
    bans: Bans,
}

/// A device that is let in. It has a place at each level until this is dropped.
pub struct Admitted {
    _places: Places,
}

/// A connection that is let in, whose device is not known yet: a balancer will tell. It has a place at each level, and
/// may stay as it is where the balancer speaks for itself.
pub struct Unidentified {
    gate: Gate,
    places: Places,
}

struct Places {
    listener: Place,
    pod: Place,
}

/// Why a device is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// As many connections are open as there may be.
    MaxConnections,
    /// As many connections of that address are open as there may be.
    MaxConnectionsPerIp,
    /// Connections come too fast.
    ConnectionRate,
    /// Connections of that address come too fast.
    ConnectionRatePerIp,
    /// A rule keeps it out.
    Access,
    /// It is banned.
    Banned,
    /// As many devices are in their handshakes as there may be.
    MaxHandshakes,
    /// It did not come through one of the balancers that are trusted.
    Untrusted,
}

impl Gate {
    /// The levels are shared: the pod's by all gates.
    #[must_use]
    pub fn new(pod: Arc<Level>, listener: Arc<Level>, bans: Bans) -> Self {
        Self {
            pod,
            listener,
            bans,
        }
    }

    /// Whether a device from there may connect at all. No place is taken.
    pub fn check(&self, device: IpAddr) -> Result<(), Refusal> {
        let levels = [&self.listener, &self.pod];
        if !levels
            .iter()
            .all(|level| level.rules.load().access.allows(device))
        {
            return Err(Refusal::Access);
        }
        if self.bans.is_banned_ip(device).is_some() {
            return Err(Refusal::Banned);
        }
        Ok(())
    }

    /// Lets a device in, with one place at each level, or takes no place at all.
    pub fn admit(&self, device: IpAddr) -> Result<Admitted, Refusal> {
        self.admit_at(device, Instant::now())
    }

    /// Lets a connection in before its device is known. Only the limits that do not ask whose it is are applied.
    pub fn admit_unknown(&self) -> Result<Unidentified, Refusal> {
        self.admit_unknown_at(Instant::now())
    }

    /// A handshake or an Authenticate of that device failed. Whether it has just been banned for it.
    #[must_use]
    pub fn failed(&self, device: IpAddr) -> bool {
        self.bans.failed(device)
    }

    /// The limits of all listeners together.
    #[must_use]
    pub fn pod(&self) -> &Arc<Level> {
        &self.pod
    }

    /// The limits of this listener.
    #[must_use]
    pub fn listener(&self) -> &Arc<Level> {
        &self.listener
    }

    /// Who is banned, on all listeners.
    #[must_use]
    pub fn bans(&self) -> &Bans {
        &self.bans
    }

    // An address above its own rate takes nothing from the rate of all, and a listener above its rate nothing from
    // that of the pod: one cannot use up what the others live on.
    fn admit_at(&self, device: IpAddr, now: Instant) -> Result<Admitted, Refusal> {
        self.check(device)?;
        let mut places = self.places()?;
        places.identify(device, now)?;
        places.arrive(now)?;
        Ok(Admitted { _places: places })
    }

    fn admit_unknown_at(&self, now: Instant) -> Result<Unidentified, Refusal> {
        let places = self.places()?;
        places.arrive(now)?;
        Ok(Unidentified {
            gate: self.clone(),
            places,
        })
    }

    fn places(&self) -> Result<Places, Refusal> {
        Ok(Places {
            listener: Place::take(&self.listener)?,
            pod: Place::take(&self.pod)?,
        })
    }
}

impl Unidentified {
    /// The device is known now. The limits that were left out are applied.
    pub fn identify(self, device: IpAddr) -> Result<Admitted, Refusal> {
        self.identify_at(device, Instant::now())
    }

    /// There is no device: the balancer speaks for itself. It keeps its places.
    #[must_use]
    pub fn without_device(self) -> Admitted {
        Admitted {
            _places: self.places,
        }
    }

    fn identify_at(mut self, device: IpAddr, now: Instant) -> Result<Admitted, Refusal> {
        self.gate.check(device)?;
        self.places.identify(device, now)?;
        Ok(Admitted {
            _places: self.places,
        })
    }
}

impl Places {
    fn identify(&mut self, device: IpAddr, now: Instant) -> Result<(), Refusal> {
        self.listener.identify(device.into(), now)?;
        self.pod.identify(device.into(), now)
    }

    fn arrive(&self, now: Instant) -> Result<(), Refusal> {
        self.listener.level().arrive(now)?;
        self.pod.level().arrive(now)
    }
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::MaxConnections,
        Self::MaxConnectionsPerIp,
        Self::ConnectionRate,
        Self::ConnectionRatePerIp,
        Self::Access,
        Self::Banned,
        Self::MaxHandshakes,
        Self::Untrusted,
    ];

    /// The word in logs and as a metric's label: the setting that decided.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxConnections => "max_connections",
            Self::MaxConnectionsPerIp => "max_connections_per_ip",
            Self::ConnectionRate => "connection_rate",
            Self::ConnectionRatePerIp => "connection_rate_per_ip",
            Self::Access => "access",
            Self::Banned => "banned",
            Self::MaxHandshakes => "max_handshakes",
            Self::Untrusted => "untrusted",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
