//! What any back end of DTLS does for one device, if it leaves the socket to the gateway.

use std::time::Duration;

use super::SessionError;
use crate::transport::Details;

/// One device's DTLS session, without its socket. After each call what [`Self::take_outgoing`] has is to be sent.
pub trait DatagramSecurity: Send {
    /// A datagram came from the device. Plaintext that it yields is handed to `plain`, one call per record. After an
    /// error the session is over; an alert may wait to be sent.
    fn receive(
        &mut self,
        datagram: &[u8],
        plain: &mut dyn FnMut(&[u8]),
    ) -> Result<Progress, SessionError>;

    /// Encrypts one message. Fails, and leaves the session as it is, while the handshake is not done and where the
    /// message is longer than [`Self::max_plain`]. An empty message sends nothing: OpenSSL has no empty records.
    fn send(&mut self, plain: &[u8]) -> Result<(), SessionError>;

    /// The most bytes in one message.
    fn max_plain(&self) -> usize;

    /// The next datagram for the device.
    fn take_outgoing(&mut self) -> Option<Vec<u8>>;

    /// How long until [`Self::on_timeout`] is to be called, if at all: the handshake is under way and waits for the
    /// device. It changes with every call to the session.
    fn timeout(&self) -> Option<Duration>;

    /// Time has passed: repeats what the device has not answered. Fails once it was repeated often enough.
    fn on_timeout(&mut self) -> Result<(), SessionError>;

    /// Says goodbye to the device, once.
    fn close(&mut self);

    /// What to tell of the device, once the handshake is done; its certificate apart.
    fn details(&self) -> Details;

    /// The certificate that the device has shown, in DER.
    fn peer_certificate_der(&self) -> Option<Vec<u8>>;
}

/// What a datagram has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The handshake is under way.
    Handshaking,
    /// The handshake is done, with this datagram or before it.
    Established,
    /// The same, and there was nothing in this datagram: garbage, forged, a copy, or late.
    Ignored,
    /// The device said goodbye, and was answered.
    Closed,
}
