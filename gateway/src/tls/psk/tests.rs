//! Files with shared keys.

use super::*;

#[test]
fn lines_are_identities_and_keys() {
    let text = b"# fleet 7\n\n device-1:00ff\r\nurn:dev:2:ABcd\ndevice 3 : 01\n";
    let store = PskStore::parse(text).unwrap();
    assert_eq!(store.len(), 3);
    assert_eq!(store.key(b"device-1"), Some(&[0x00, 0xff][..]));
    assert_eq!(store.key(b"urn:dev:2"), Some(&[0xab, 0xcd][..]));
    assert_eq!(store.key(b"device 3"), Some(&[0x01][..]));
    assert_eq!(store.key(b"device"), None);
    assert_eq!(store.key(b""), None);
}

#[test]
fn a_bad_line_is_named() {
    let long = [b"i:".repeat(65), b"00".to_vec()].concat();
    let cases: [(&[u8], Problem); 8] = [
        (b"device", Problem::NoColon),
        (b":00", Problem::IdentityLength),
        (&long, Problem::IdentityLength),
        (b"a\0b:00", Problem::Zero),
        (b"device:", Problem::KeyLength),
        (b"device:000", Problem::Odd),
        (b"device:0g", Problem::NotHexadecimal),
        (b"a:01", Problem::Twin(1)),
    ];
    for (line, problem) in cases {
        let text = [&b"a:00\n\n"[..], line, b"\nb:00"].concat();
        let error = PskStore::parse(&text).unwrap_err();
        assert_eq!(error, (3, problem), "{}", line.escape_ascii());
    }
}

#[test]
fn a_key_is_never_shown() {
    let store = PskStore::parse(b"device:c0ffee").unwrap();
    assert_eq!(format!("{store:?}"), "PskStore(1 keys)");
    let path = Path::new("/psk/devices");
    let (line, problem) = PskStore::parse(b"device:c0ffee zz").unwrap_err();
    let path = path.into();
    let text = Error::Psk {
        path,
        line,
        problem,
    }
    .to_string();
    assert!(text.starts_with("/psk/devices:1: "), "{text}");
    assert!(!text.contains("c0ff"), "{text}");
}

#[test]
fn keys_have_up_to_256_bytes() {
    let line = |bytes: usize| [&b"device:"[..], &b"5a".repeat(bytes)].concat();
    let store = PskStore::parse(&line(256)).unwrap();
    assert_eq!(store.key(b"device"), Some(&[0x5a; 256][..]));
    let error = PskStore::parse(&line(257)).unwrap_err();
    assert_eq!(error, (1, Problem::KeyLength));
}

#[test]
fn many_keys_are_all_found() {
    use std::fmt::Write as _;
    let text = (0..100_000_u32).fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "device-{number}:{number:08x}");
        text
    });
    let store = PskStore::parse(text.as_bytes()).unwrap();
    for number in (0..100_000_u32).step_by(997) {
        let key = store.key(format!("device-{number}").as_bytes());
        assert_eq!(key, Some(&number.to_be_bytes()[..]));
    }
    assert_eq!(store.key(b"device-100000"), None);
}
