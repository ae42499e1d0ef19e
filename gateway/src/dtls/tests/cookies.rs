use super::{
    super::cookie::ROTATION,
    hellos::{real, smallest, with_cookie},
    *,
};

/// The cookie in a `HelloVerifyRequest`.
fn cookie(request: &[u8]) -> &[u8] {
    &request[28..]
}

fn peer() -> SocketAddr {
    "192.0.2.7:40000".parse().unwrap()
}

#[test]
fn an_answer_is_no_longer_than_any_hello() {
    let cookies = Cookies::new();
    let hello = smallest();
    let answer = cookies.hello_verify_request(peer(), &Hello::parse(&hello).unwrap());
    assert!(answer.len() <= hello.len(), "{}", answer.len());
    // It has the number of the hello's record.
    assert_eq!(answer[5..11], hello[5..11]);
}

#[test]
fn a_cookie_is_good_for_its_address_and_its_hello() {
    let cookies = Cookies::new();
    let first = real();
    let request = cookies.hello_verify_request(peer(), &Hello::parse(&first).unwrap());
    let second = with_cookie(&first, cookie(&request));
    let hello = Hello::parse(&second).unwrap();
    assert!(cookies.verify(peer(), &hello));
    assert!(cookies.verify("[::ffff:192.0.2.7]:40000".parse().unwrap(), &hello));
    assert!(!cookies.verify("192.0.2.7:40001".parse().unwrap(), &hello));
    assert!(!cookies.verify("192.0.2.8:40000".parse().unwrap(), &hello));
    assert!(!Cookies::new().verify(peer(), &hello));
    let mut other = second.clone();
    other[30] ^= 1;
    assert!(!cookies.verify(peer(), &Hello::parse(&other).unwrap()));
    for wrong in [&b""[..], &[0; 31], &[0; 32], &[0; 33]] {
        let wrong = with_cookie(&first, wrong);
        assert!(!cookies.verify(peer(), &Hello::parse(&wrong).unwrap()));
    }
}

#[test]
fn a_cookie_outlives_one_change_of_the_secret() {
    let (cookies, now) = (Cookies::new(), Instant::now());
    let first = real();
    let request = cookies.request_at(now, peer(), &Hello::parse(&first).unwrap());
    let second = with_cookie(&first, cookie(&request));
    let hello = Hello::parse(&second).unwrap();
    assert!(cookies.verify_at(now + ROTATION, peer(), &hello));
    assert!(cookies.verify_at(now + ROTATION + ROTATION / 2, peer(), &hello));
    assert!(!cookies.verify_at(now + 2 * ROTATION, peer(), &hello));
}

#[test]
fn a_cookie_does_not_outlive_a_long_silence() {
    let (cookies, now) = (Cookies::new(), Instant::now());
    let first = real();
    let request = cookies.request_at(now, peer(), &Hello::parse(&first).unwrap());
    let second = with_cookie(&first, cookie(&request));
    let hello = Hello::parse(&second).unwrap();
    assert!(!cookies.verify_at(now + 10 * ROTATION, peer(), &hello));
}

#[test]
fn a_wrong_cookie_is_answered_and_leaves_no_session() {
    let files = files::Files::new();
    let context = context(&listener([files.ecdsa("a.example")]));
    let mut link = Link::new(context, Device::new());
    link.device.drive();
    let wrong = with_cookie(&link.device.take().unwrap(), &[3; 32]);
    link.arrive(&wrong);
    assert!(link.session.is_none());
    assert_eq!(link.sent, 1);
}

#[test]
fn a_device_whose_cookie_grew_stale_gets_another_and_gets_in() {
    let files = files::Files::new();
    let context = context(&listener([files.ecdsa("a.example")]));
    let mut link = Link::new(context, Device::new());
    link.device.drive();
    let first = link.device.take().unwrap();
    link.arrive(&first);
    // Its second hello comes with a cookie of the past; the third is message 2.
    link.cookies = Cookies::new();
    link.pump();
    assert!(link.is_up(), "{:?} {:?}", link.error, link.device.error);
    link.device.send(b"in");
    link.pump();
    assert_eq!(link.received, [b"in"]);
}

#[test]
fn a_device_that_repeated_its_hello_is_not_confused_by_numbers() {
    let files = files::Files::new();
    let context = context(&listener([files.ecdsa("a.example")]));
    let mut link = Link::new(context, Device::new());
    link.device.drive();
    let first = link.device.take().unwrap();
    // It has seen answers with the numbers 0 to 6.
    for number in 0..7 {
        let again = Hello::parse(&first).unwrap().renumbered(number);
        link.arrive(&again);
    }
    let mut second = link.device.take().unwrap();
    second[10] = 7;
    link.arrive(&second);
    let flight = link.session().take_outgoing().unwrap();
    assert_eq!(flight[5..11], [0, 0, 0, 0, 0, 7]);
    link.device.give(&flight);
    link.pump();
    assert!(link.is_up());
}
