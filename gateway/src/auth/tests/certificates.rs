use super::*;
use crate::transport::Details;

fn shown(names: &[&str]) -> Credentials {
    let mut details = Details::default();
    details.set_certificate(PeerCertificate {
        cn: "device-7".to_owned(),
        dn: "CN=device-7,O=Acme".to_owned(),
    });
    for name in names {
        details.add("exproto-cert-san", name.as_bytes());
    }
    let mut credentials = credentials("device-7", "acme", "");
    credentials.conninfo.details = details;
    credentials
}

#[tokio::test]
async fn a_name_must_stand_in_the_certificate_where_it_should() {
    let cases: [(&str, &[&str], bool); 8] = [
        ("", &[], true),
        ("from: cn", &["DNS:other"], true),
        ("from: san", &[], false),
        ("from: san", &["DNS:device-7"], true),
        ("from: san", &["URI:device-7"], true),
        ("name: username", &["email:acme"], true),
        ("name: username, from: cn", &["email:acme"], false),
        // An address is no name.
        ("from: san", &["IP:device-7"], false),
    ];
    for (settings, names, allowed) in cases {
        let authentication = chain(&format!("{{certificate: {{{settings}}}}}"));
        let outcome = authentication.authenticate(&shown(names)).await;
        assert_eq!(outcome.is_ok(), allowed, "{settings} {names:?}");
    }
}

#[tokio::test]
async fn a_name_that_is_not_ascii_is_compared_as_it_is() {
    let authentication = chain("{certificate: {from: san}}");
    let mut credentials = shown(&["URI:gerät-7"]);
    credentials.clientid = "gerät-7".to_owned();
    assert!(authentication.authenticate(&credentials).await.is_ok());
}

#[tokio::test]
async fn who_shows_none_is_left_to_the_next_one() {
    let credentials = credentials("device-7", "", "");
    let strict = chain("{certificate: {}}");
    assert!(strict.authenticate(&credentials).await.is_err());
    let lenient = chain("{certificate: {}}, {anonymous: {}}");
    assert!(lenient.authenticate(&credentials).await.is_ok());
    let mut other = shown(&[]);
    other.clientid = "device-8".to_owned();
    let denied = lenient.authenticate(&other).await.unwrap_err();
    assert!(denied.to_string().contains("certificate"), "{denied}");
}
