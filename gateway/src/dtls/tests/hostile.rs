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
fn nothing_comes_twice_around_the_hand_over() {
    let files = Files::new();
    for ciphers in CIPHERS {
        // In every order, and with two of them in one datagram.
        for order in [
            &[&[0_usize][..], &[1], &[2], &[3]][..],
            &[&[1], &[0], &[3], &[2]],
            &[&[2], &[0, 1], &[3]],
            &[&[1, 2], &[0], &[3]],
            &[&[3, 3], &[0], &[1, 2]],
        ] {
            let mut link = established(&files, ciphers);
            let words = [&b"zero"[..], b"one", b"two", b"three"];
            let mut records = Vec::new();
            for word in words {
                link.device.send(word);
                records.push(link.device.take().unwrap());
            }
            for numbers in order {
                let datagram: Vec<_> = numbers.iter().map(|number| &*records[*number]).collect();
                link.arrive(&datagram.concat());
            }
            let mut received = link.received.clone();
            received.sort();
            let mut all = words.map(<[u8]>::to_vec).to_vec();
            all.sort();
            assert_eq!(received, all, "{ciphers} {order:?}");
            // Copies of each bring nothing, whoever reads them by now.
            link.received.clear();
            for record in &records {
                link.arrive(record);
            }
            assert!(link.received.is_empty(), "{ciphers} {order:?}");
            works(&mut link);
        }
    }
}

#[test]
fn the_nonces_of_a_session_are_never_used_twice() {
    let files = Files::new();
    for ciphers in &CIPHERS[..3] {
        let mut link = established(&files, ciphers);
        let mut seen = std::collections::HashSet::new();
        let mut numbers = Vec::new();
        for round in 0..20 {
            if round == 10 {
                link.device.send(b"now");
                link.pump();
                assert!(!link.session().is_on_openssl());
            }
            link.session().send(b"word").unwrap();
            let datagram = link.session().take_outgoing().unwrap();
            numbers.push(datagram[5..11].to_vec());
            // The explicit nonce of GCM and CCM; with ChaCha20 the number is all there is.
            assert!(seen.insert(datagram[13..21].to_vec()), "{ciphers}");
            link.device.give(&datagram);
        }
        let sorted = numbers.is_sorted();
        numbers.dedup();
        assert!(sorted && numbers.len() == 20, "{ciphers} {numbers:?}");
        assert_eq!(link.device.received.len(), 20);
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
