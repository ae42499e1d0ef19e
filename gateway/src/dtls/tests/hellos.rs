use proptest::{collection::vec, prelude::*};

use super::{super::hello::looks_like_hello, *};

/// The first hello of a client of OpenSSL.
pub(super) fn real() -> Vec<u8> {
    let mut device = Device::naming("device.example");
    device.drive();
    device.take().unwrap()
}

/// The smallest that is legal: no session, no cookie, one cipher, one compression, no extensions.
pub(super) fn smallest() -> Vec<u8> {
    let mut hello = vec![22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 5, 0, 54];
    hello.extend([1, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 42, 0xfe, 0xfd]);
    hello.extend([9; 32]);
    hello.extend([0, 0, 0, 2, 0xc0, 0xa8, 1, 0]);
    hello
}

/// Where the extensions of a hello without a cookie begin.
pub(super) fn extensions(hello: &[u8]) -> usize {
    let suites = 59 + 1 + usize::from(hello[59]) + 1;
    let compressions =
        suites + 2 + usize::from(hello[suites]) * 256 + usize::from(hello[suites + 1]);
    compressions + 1 + usize::from(hello[compressions])
}

/// Adds to a number in network order.
pub(super) fn add(number: &mut [u8], add: u8) {
    let last = number.len() - 1;
    number[last] = number[last].checked_add(add).unwrap();
}

/// The hello with another cookie.
pub(super) fn with_cookie(hello: &[u8], cookie: &[u8]) -> Vec<u8> {
    let at = 60 + usize::from(hello[59]);
    assert_eq!(hello[at], 0, "it has one already");
    let length = u8::try_from(cookie.len()).unwrap();
    let mut with = hello.to_vec();
    with[at] = length;
    with.splice(at + 1..=at, cookie.iter().copied());
    for (from, to) in [(11, 13), (14, 17), (22, 25)] {
        let mut number = u32::from_be_bytes([0, with[to - 3], with[to - 2], with[to - 1]]);
        if to - from == 2 {
            number &= 0xffff;
        }
        let number = (number + u32::from(length)).to_be_bytes();
        with[from..to].copy_from_slice(&number[4 - (to - from)..]);
    }
    with[18] = 1;
    with
}

#[test]
fn a_hello_is_read() {
    let bytes = real();
    assert!(looks_like_hello(&bytes));
    let hello = Hello::parse(&bytes).unwrap();
    assert_eq!(hello.cookie(), b"");
    assert_eq!(hello.message(), 0);
    assert_eq!(hello.sequence(), 0);
    assert_eq!(hello.random(), bytes[27..59]);
    assert_eq!(hello.max_fragment(), None);
    let second = with_cookie(&bytes, &[5; 32]);
    let second = Hello::parse(&second).unwrap();
    assert_eq!(second.cookie(), [5; 32]);
    assert_eq!(second.lasting(), hello.lasting());
    assert_eq!(second.without_cookie(0), bytes);
}

#[test]
fn the_smallest_hello_is_one_and_nothing_shorter_is() {
    let hello = smallest();
    assert!(Hello::parse(&hello).is_some());
    for length in 0..hello.len() {
        assert!(Hello::parse(&hello[..length]).is_none());
    }
    let mut followed = hello.clone();
    followed.extend(b"whatever follows");
    assert!(Hello::parse(&followed).is_some());
}

#[test]
fn a_fragment_is_none() {
    let bytes = real();
    let mut first = bytes.clone();
    add(&mut first[14..17], 1);
    assert!(Hello::parse(&first).is_none());
    let mut later = bytes;
    later[21] = 1;
    assert!(Hello::parse(&later).is_none());
}

#[test]
fn other_records_are_none() {
    let hello = real();
    for (at, value) in [(0, 23), (1, 3), (3, 1), (4, 1), (13, 2), (25, 3), (18, 9)] {
        let mut other = hello.clone();
        other[at] = value;
        assert!(Hello::parse(&other).is_none(), "{at}");
    }
}

/// Whatever can be asked of a hello.
fn ask(bytes: &[u8]) {
    let Some(hello) = Hello::parse(bytes) else {
        return;
    };
    assert!(looks_like_hello(bytes));
    let cookies = Cookies::new();
    let peer = "[2001:db8::1]:9".parse().unwrap();
    assert!(cookies.hello_verify_request(peer, &hello).len() <= bytes.len());
    assert!(!cookies.verify(peer, &hello));
    let _ = (hello.max_fragment(), hello.random(), hello.lasting());
    let first = hello.without_cookie(0);
    let first = Hello::parse(&first).expect("the first hello is one");
    assert_eq!(first.cookie(), b"");
    assert_eq!(first.lasting(), hello.lasting());
}

proptest! {
    #[test]
    fn any_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..200)) {
        ask(&bytes);
        let mut hello = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        hello.extend(bytes);
        ask(&hello);
    }

    #[test]
    fn mutated_hellos_do_no_harm(changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        for mut hello in [real(), smallest(), with_cookie(&real(), &[1; 32])] {
            for (at, value) in &changes {
                *at.get_mut(&mut hello) = *value;
            }
            ask(&hello);
        }
    }
}
