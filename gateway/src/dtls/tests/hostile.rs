use openssl::ssl::SslVersion;
use proptest::{collection::vec, prelude::*};

use super::{files::Files, *};

/// With ciphers of each kind, and so each of OpenSSL's ways to fail.
const CIPHERS: [&str; 4] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0",
    "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0",
];

fn established(files: &Files, ciphers: &str) -> Link {
    let mut listener = listener([files.ecdsa("a.example")]);
    listener.dtls.ciphers = Some(ciphers.to_owned());
    let device = Device::with(|context| context.set_cipher_list(ciphers).unwrap());
    Link::established(context(&listener), device)
}

/// As it is after the handshake, and after the device has spoken.
fn both(files: &Files, ciphers: &str) -> [Link; 2] {
    let before = established(files, ciphers);
    let mut after = established(files, ciphers);
    works(&mut after);
    after.received.clear();
    [before, after]
}

fn record(kind: u8, epoch: u8, number: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut record = vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, number];
    record.extend(length);
    record.extend(payload);
    record
}

/// The session still hears the device.
fn works(link: &mut Link) {
    link.received.clear();
    link.device.send(b"still here");
    link.pump();
    assert_eq!(link.error, None);
    assert_eq!(link.received, [b"still here"]);
}

#[test]
fn forged_records_of_any_length_are_dropped() {
    let files = Files::new();
    for (ciphers, mut link) in CIPHERS
        .into_iter()
        .flat_map(|ciphers| both(&files, ciphers).map(|link| (ciphers, link)))
    {
        for length in 0..80 {
            for kind in [20, 21, 22, 23, 24, 255] {
                for epoch in [0, 1, 2] {
                    link.arrive(&record(kind, epoch, 200, &vec![1; length]));
                    let alert = record(21, epoch, 201, &[2, 40]);
                    link.arrive(&alert);
                }
            }
        }
        assert_eq!(link.error, None, "{ciphers}");
        assert_eq!(link.last, Some(Progress::Ignored));
        assert!(link.received.is_empty());
        works(&mut link);
    }
}

#[test]
fn changed_and_repeated_records_are_dropped() {
    let files = Files::new();
    for (ciphers, mut link) in CIPHERS
        .into_iter()
        .flat_map(|ciphers| both(&files, ciphers).map(|link| (ciphers, link)))
    {
        link.device.send(b"once");
        let good = link.device.take().unwrap();
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 0x41;
            link.arrive(&changed);
            link.arrive(&good[..at]);
        }
        assert_eq!(link.error, None, "{ciphers}");
        assert!(link.received.is_empty());
        link.arrive(&good);
        assert_eq!(link.last, Some(Progress::Established));
        link.arrive(&good);
        assert_eq!(link.last, Some(Progress::Ignored));
        assert_eq!(link.received, [b"once"]);
        works(&mut link);
    }
}

#[test]
fn good_records_are_read_beside_bad_ones() {
    let files = Files::new();
    let mut link = established(&files, CIPHERS[0]);
    link.device.send(b"one");
    link.device.send(b"two");
    let mut all = record(23, 1, 200, &[0; 3]);
    all.extend(link.device.take().unwrap());
    all.extend(record(23, 1, 201, &[0; 40]));
    all.extend(link.device.take().unwrap());
    all.extend([23, 0xfe, 0xfd, 0, 1]);
    link.arrive(&all);
    assert_eq!(link.received, [b"one", b"two"]);
    works(&mut link);
}

#[test]
fn a_fatal_alert_of_the_device_closes() {
    let files = Files::new();
    let context = context(&listener([files.ecdsa("a.example")]));
    // A device that believes nobody.
    let device = Device::with(|context| context.set_verify(openssl::ssl::SslVerifyMode::PEER));
    let mut link = Link::new(context, device);
    link.pump();
    let error = link.error.unwrap();
    assert_eq!(error.reason(), "closed");
    assert!(error.to_string().contains("by the device"), "{error}");
}

#[test]
fn another_handshake_inside_a_session_is_not_begun() {
    let files = Files::new();
    let mut link = established(&files, CIPHERS[0]);
    let hello = hellos::real();
    link.arrive(&hello);
    assert_eq!(link.last, Some(Progress::Ignored));
    assert_eq!(
        link.device.stream.ssl().version2(),
        Some(SslVersion::DTLS1_2)
    );
    works(&mut link);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_datagram_at_any_moment_panics(
        moment in 0_usize..8,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        junk in vec(any::<u8>(), 0..100),
    ) {
        let files = Files::new();
        let context = context(&listener([files.ecdsa("a.example")]));
        let mut link = Link::new(context, Device::new());
        link.device.drive();
        for step in 0..8 {
            let Some(mut datagram) = link.device.take() else { break };
            if step == moment {
                link.arrive(&junk);
                let good = datagram.clone();
                for (at, value) in &changes {
                    *at.get_mut(&mut datagram) = *value;
                }
                link.arrive(&datagram);
                link.arrive(&good);
            }
            link.arrive(&datagram);
            while let Some(datagram) = link.session.as_mut().and_then(Session::take_outgoing) {
                link.device.give(&datagram);
            }
        }
    }
}
