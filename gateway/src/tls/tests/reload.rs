//! New files in the place of old ones.

use super::{pki::Pki, *};

#[tokio::test]
async fn nobody_resumes_past_a_reload() {
    let pki = Pki::new();
    let device = pki.client("device-7");
    let mut listener = listener(&[&pki.server("localhost")]);
    listener.tls.verify = config::Verify::Required;
    listener.tls.ca_file = Some(pki.ca_file());
    listener.tls.crl_file = Some(pki.crl(&[]));
    let before = Secured::load(&listener).unwrap();
    let client = Client::new(&pki.ca_file()).showing(&device).build();
    shake(&before, &client, "localhost").await.unwrap();
    assert!(shake(&before, &client, "localhost").await.unwrap().resumed);

    let _ = pki.crl(&[&device]);
    let after = Secured::reload(&listener).unwrap();
    let refused = shake(&after, &client, "localhost").await;
    assert_eq!(reason(refused), Reason::RevokedCertificate);
}
