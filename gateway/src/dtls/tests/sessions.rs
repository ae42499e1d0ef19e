use openssl::ssl::{Ssl, SslSessionRef, SslVersion};

use super::{files::Files, *};

#[test]
fn a_device_is_heard_and_answered_with_either_kind_of_key() {
    let files = Files::new();
    for certificate in [files.ecdsa("a.example"), files.rsa("a.example")] {
        let mut link = Link::established(context(&listener([certificate])), Device::new());
        link.device.send(b"hello");
        link.pump();
        assert_eq!(link.received, [b"hello"]);
        link.session().send(b"good day").unwrap();
        link.pump();
        assert_eq!(link.device.received, [b"good day"]);
        assert_eq!(link.session().timeout(), None);
    }
}

#[test]
fn messages_from_the_smallest_to_the_largest_pass() {
    let files = Files::new();
    let context = context(&listener([files.ecdsa("a.example")]));
    let mut link = Link::established(context, Device::new());
    let limit = link.session().max_plain();
    assert_eq!(limit, 16 * 1024);
    for size in [1, 2, 255, 1500, limit] {
        let message = vec![7; size];
        link.device.send(&message);
        link.pump();
        assert_eq!(link.received.pop().unwrap(), message);
        link.session().send(&message).unwrap();
        link.pump();
        assert_eq!(link.device.received.pop().unwrap(), message);
    }
}

#[test]
fn a_message_that_is_too_long_is_refused_and_harms_nothing() {
    let files = Files::new();
    let context = context(&listener([files.ecdsa("a.example")]));
    let mut link = Link::established(context, Device::new());
    let limit = link.session().max_plain();
    let error = link.session().send(&vec![0; limit + 1]).unwrap_err();
    assert_eq!(
        error,
        SessionError::TooLong {
            size: limit + 1,
            limit
        }
    );
    link.session().send(b"shorter").unwrap();
    link.session().send(b"").unwrap();
    link.pump();
    assert_eq!(link.device.received, [b"shorter"]);
}

#[test]
fn nothing_is_sent_before_the_handshake_is_done() {
    let files = Files::new();
    let mut link = Link::new(
        context(&listener([files.ecdsa("a.example")])),
        Device::new(),
    );
    link.device.drive();
    while link.session.is_none() {
        let hello = link.device.take().unwrap();
        link.arrive(&hello);
    }
    let error = link.session().send(b"early").unwrap_err();
    assert_eq!(error, SessionError::NotEstablished);
    assert!(link.session().timeout().is_some());
}

#[test]
fn either_end_says_goodbye() {
    let files = Files::new();
    let context = context(&listener([files.ecdsa("a.example")]));
    let mut link = Link::established(context.clone(), Device::new());
    link.session().close();
    link.session().close();
    link.pump();
    assert!(link.device.closed);
    let error = link.session().send(b"late").unwrap_err();
    assert_eq!(error.reason(), "closed");

    let mut link = Link::established(context, Device::new());
    link.device.stream.shutdown().unwrap();
    link.pump();
    assert_eq!(link.last, Some(Progress::Closed));
    // It was answered.
    assert!(link.device.closed);
    let late = link.session().receive(&[22; 50], &mut |_| ());
    assert_eq!(late.unwrap_err().reason(), "closed");
}

#[test]
fn a_handshake_survives_the_loss_of_every_third_datagram() {
    let files = Files::new();
    let context = context(&listener([files.rsa("a.example")]));
    thread::scope(|scope| {
        for seed in 1..=4 {
            let context = context.clone();
            scope.spawn(move || {
                let mut link = Link::new(context, Device::new());
                link.losses = Some(fastrand::Rng::with_seed(seed));
                link.pump_until(Link::is_up);
                link.losses = None;
                link.device.send(b"through");
                link.pump();
                assert_eq!(link.received, [b"through"]);
            });
        }
    });
}

#[test]
fn a_device_that_missed_the_last_flight_gets_it_again() {
    let files = Files::new();
    let mut link = Link::new(
        context(&listener([files.ecdsa("a.example")])),
        Device::new(),
    );
    // Two hellos with their answers, a flight of the gateway, one of the device; then this is lost.
    link.device.drive();
    while link.last != Some(Progress::Established) {
        while let Some(datagram) = link.device.take() {
            link.arrive(&datagram);
        }
        if link.last == Some(Progress::Established) {
            break;
        }
        while let Some(datagram) = link.session.as_mut().and_then(Session::take_outgoing) {
            link.device.give(&datagram);
        }
    }
    while link.session().take_outgoing().is_some() {}
    assert!(!link.device.up);
    link.pump_until(|link| link.device.up);
    link.device.send(b"there");
    link.pump();
    assert_eq!(link.received, [b"there"]);
}

#[test]
fn flights_keep_to_the_largest_datagram() {
    let files = Files::new();
    let context = context(&listener([files.rsa("a.example")]));
    let mut link = Link::established(context, Device::new());
    assert!(link.longest <= 1200, "{}", link.longest);
    // Application data is one datagram, whatever its length.
    link.session().send(&[0; 5000]).unwrap();
    link.pump();
    assert!(link.longest > 5000);
}

#[test]
fn a_huge_flight_passes_with_a_huge_mtu() {
    let files = Files::new();
    let certificate = files.rsa("a.example");
    let once = files::read(&certificate.chain);
    std::fs::write(&certificate.chain, once.repeat(12)).unwrap();
    let context = context(&listener([certificate]));
    for mtu in [256, 4096, 16_384] {
        let mut link = Link::new(context.clone(), Device::new());
        link.device.drive();
        let first = link.device.take().unwrap();
        link.arrive(&first);
        let second = link.device.take().unwrap();
        let hello = Hello::parse(&second).unwrap();
        assert!(link.cookies.verify(link.peer, &hello));
        link.session = Some(Session::accept(&link.context, &hello, mtu).unwrap());
        link.pump();
        assert!(
            link.is_up(),
            "{mtu}: {:?} {:?}",
            link.error,
            link.device.error
        );
        assert!(mtu > 4096 || link.longest <= mtu as usize);
    }
}

/// The same device once more, with what it was given the first time.
fn again(first: &Device) -> Device {
    let session = first.stream.ssl().session().unwrap();
    let mut ssl = Ssl::new(first.stream.ssl().ssl_context()).unwrap();
    resume(&mut ssl, session);
    Device::of(ssl)
}

#[expect(unsafe_code, reason = "the crate has no safe call for this")]
fn resume(ssl: &mut Ssl, session: &SslSessionRef) {
    // SAFETY: the session was made with the context that this was made with.
    unsafe { ssl.set_session(session) }.unwrap();
}

#[test]
fn a_ticket_spares_the_costly_part() {
    let files = Files::new();
    let mut listener = listener([files.ecdsa("a.example")]);
    for resumption in [true, false] {
        listener.tls.resumption = resumption;
        let context = context(&listener);
        let first = Link::established(context.clone(), Device::new());
        let link = Link::established(context, again(&first.device));
        assert_eq!(link.device.stream.ssl().session_reused(), resumption);
    }
}

#[test]
fn a_ticket_is_worth_nothing_without_its_key() {
    let files = Files::new();
    let mut listener = listener([]);
    let key = "07".repeat(16);
    listener.psk.file = Some(files.write("psk", &format!("meter-1:{key}\nmeter-2:{key}\n")));
    let before = context(&listener);
    let device = Device::psk("meter-1", &[7; 16], "PSK-AES128-GCM-SHA256");
    let first = Link::established(before.clone(), device);
    let second = Link::established(before, again(&first.device));
    assert!(second.device.stream.ssl().session_reused());
    files.write("psk", &format!("meter-2:{key}\n"));
    let mut third = Link::new(context(&listener), again(&first.device));
    third.pump();
    assert_eq!(third.error, Some(SessionError::UnknownPsk));
    assert!(!third.device.up);
}

#[test]
fn an_older_version_is_refused() {
    let files = Files::new();
    let device = Device::with(|context| {
        context.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
        context
            .set_max_proto_version(Some(SslVersion::DTLS1))
            .unwrap();
    });
    let mut link = Link::new(context(&listener([files.ecdsa("a.example")])), device);
    link.pump();
    assert_eq!(link.error.as_ref().unwrap().reason(), "version");
    let told = link.device.error.unwrap();
    assert!(told.contains("protocol version"), "{told}");
}

#[test]
fn a_device_may_ask_for_small_records() {
    let files = Files::new();
    let context = context(&listener([files.ecdsa("a.example")]));
    for (code, limit) in [(1, 512), (4, 4096)] {
        let hello = with_max_fragment(&hellos::real(), code);
        let hello = hellos::with_cookie(&hello, &[1; 32]);
        let session = Session::accept(&context, &Hello::parse(&hello).unwrap(), 1200);
        assert_eq!(session.unwrap().max_plain(), limit);
    }
    let odd = with_max_fragment(&hellos::real(), 5);
    let odd = hellos::with_cookie(&odd, &[1; 32]);
    assert!(Session::accept(&context, &Hello::parse(&odd).unwrap(), 1200).is_err());
}

/// Puts the extension in front of all others.
fn with_max_fragment(hello: &[u8], code: u8) -> Vec<u8> {
    let mut hello = hello.to_vec();
    let extensions = hellos::extensions(&hello);
    hello.splice(extensions + 2..extensions + 2, [0, 1, 0, 1, code]);
    for (at, bytes) in [(11, 2), (14, 3), (22, 3), (extensions, 2)] {
        hellos::add(&mut hello[at..at + bytes], 5);
    }
    hello
}

/// Every kind of cipher: whether the session goes on without OpenSSL once the device has spoken.
const AFTERWARDS: [(&str, bool); 8] = [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", true),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", true),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", true),
    ("ECDHE-ECDSA-AES128-CCM", true),
    ("ECDHE-ECDSA-AES256-CCM", true),
    ("ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0", true),
    ("ECDHE-ECDSA-AES256-CCM8:@SECLEVEL=0", true),
    ("ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0", false),
];

fn with_cipher(files: &Files, ciphers: &str) -> Link {
    let mut listener = listener([files.ecdsa("a.example")]);
    listener.dtls.ciphers = Some(ciphers.to_owned());
    let device = Device::with(|context| context.set_cipher_list(ciphers).unwrap());
    Link::established(context(&listener), device)
}

#[test]
fn a_session_goes_on_as_before_once_the_device_has_spoken() {
    let files = Files::new();
    for (ciphers, afterwards) in AFTERWARDS {
        let mut link = with_cipher(&files, ciphers);
        // The gateway may speak first, any number of times.
        for word in [&b"one"[..], b"two"] {
            link.session().send(word).unwrap();
        }
        link.pump();
        assert!(link.session().is_on_openssl());
        let limit = link.session().max_plain();
        for size in [5, 1, 1500, limit] {
            link.device.send(&vec![7; size]);
            link.pump();
            assert_eq!(link.received.pop().unwrap(), vec![7; size], "{ciphers}");
            assert_eq!(link.session().is_on_openssl(), !afterwards, "{ciphers}");
            link.session().send(&vec![8; size]).unwrap();
            link.pump();
            assert_eq!(link.device.received.pop().unwrap(), vec![8; size]);
        }
        assert_eq!(link.session().max_plain(), limit);
        let too_long = link.session().send(&vec![0; limit + 1]).unwrap_err();
        assert_eq!(too_long.reason(), "other");
        link.session().send(b"").unwrap();
        link.session().close();
        link.pump();
        assert!(link.device.closed, "{ciphers}");
        assert_eq!(link.device.received, [b"one", b"two"]);
        assert_eq!(link.session().send(b"late").unwrap_err().reason(), "closed");
    }
}

#[test]
fn goodbyes_and_alerts_are_understood_afterwards() {
    let files = Files::new();
    for (ciphers, _) in AFTERWARDS {
        let mut link = with_cipher(&files, ciphers);
        link.device.send(b"x");
        link.pump();
        link.device.stream.shutdown().unwrap();
        link.pump();
        assert_eq!(link.last, Some(Progress::Closed), "{ciphers}");
        assert!(link.device.closed);
        let late = link.session().receive(&[23; 50], &mut |_| ());
        assert_eq!(late.unwrap_err().reason(), "closed");
    }
}

#[test]
fn a_resumed_session_goes_on_alike() {
    let files = Files::new();
    let context = context(&listener([files.ecdsa("a.example")]));
    let first = Link::established(context.clone(), Device::new());
    let mut link = Link::established(context, again(&first.device));
    assert!(link.device.stream.ssl().session_reused());
    link.device.send(b"hello");
    link.pump();
    assert!(!link.session().is_on_openssl());
    link.session().send(b"world").unwrap();
    link.device.send(b"again");
    link.pump();
    assert_eq!(link.received, [b"hello", b"again"]);
    assert_eq!(link.device.received, [b"world"]);
}
