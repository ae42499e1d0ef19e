use super::*;

#[tokio::test]
async fn users_are_found_by_the_name_that_is_configured() {
    let folder = TempDir::new().unwrap();
    let hash = hash::argon2id(b"hunter2");
    let text = format!(
        "# a comment\r\n\nzoe:{hash}\r\nadam:{hash}:tenant=acme,model=x=2\nadam-2:{hash}:\n"
    );
    let path = file(&folder, "users", text);
    let by_username = chain(&format!("{{file: {{path: {path}}}}}"));
    let adam = ask(&by_username, "c", "adam", "hunter2").await.unwrap();
    assert_eq!(&*adam.attributes["tenant"], "acme");
    assert_eq!(&*adam.attributes["model"], "x=2");
    assert_eq!(adam.expires_at, None);
    for name in ["zoe", "adam-2"] {
        let granted = ask(&by_username, "c", name, "hunter2").await;
        assert_eq!(granted, Ok(Grant::default()));
    }
    let bad = Err(BAD_PASSWORD.to_owned());
    for (name, password) in [
        ("zoe", "hunter3"),
        ("zoe", ""),
        ("zo", "hunter2"),
        ("zoe:", "hunter2"),
        ("", ""),
        ("# a comment", ""),
        ("adam-1", "hunter2"),
    ] {
        assert_eq!(
            ask(&by_username, "zoe", name, password).await,
            bad,
            "{name}"
        );
    }
    let by_clientid = chain(&format!("{{file: {{path: {path}, name: clientid}}}}"));
    assert!(ask(&by_clientid, "zoe", "", "hunter2").await.is_ok());
    assert_eq!(ask(&by_clientid, "c", "zoe", "hunter2").await, bad);
}

#[test]
fn a_bad_line_is_named_and_its_hash_is_not_shown() {
    let folder = TempDir::new().unwrap();
    let hash = hash::argon2id(b"x");
    for (text, problem) in [
        ("a".to_owned(), ":1: it is not NAME:HASH"),
        ("\n\n:x".to_owned(), ":3: there is no name"),
        (format!("a:{hash}\nb:secret"), ":2: the hash is none of"),
        (
            format!("a:{hash}\nb:{hash}\na:{hash}"),
            ":3: the name stands in line 1 already",
        ),
        (
            format!("a:{hash}:tenant"),
            ":1: what follows the hash is not KEY=VALUE",
        ),
        (
            format!("a:{hash}\nb:{hash}:tenant=acme,no one=secret"),
            ":2: the KEY of an attribute has",
        ),
    ] {
        let path = file(&folder, "users", &text);
        let error = load(&format!("{{file: {{path: {path}}}}}"))
            .map(drop)
            .unwrap_err();
        assert!(error.starts_with(&format!("{path}{problem}")), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
    let path = file(&folder, "users", [0xff, 0xfe]);
    let error = load(&format!("{{file: {{path: {path}}}}}"))
        .map(drop)
        .unwrap_err();
    assert!(error.starts_with(&format!("{path} is not text")), "{error}");
}

#[tokio::test]
async fn changed_users_are_taken_and_bad_ones_are_not() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "users", format!("a:{}", hash::argon2id(b"one")));
    let authentication = chain(&format!("{{file: {{path: {path}}}}}"));
    let changed = [path.clone().into()];
    fs::write(&path, format!("a:{}", hash::argon2id(b"two"))).unwrap();
    authentication.refresh(&changed);
    assert!(ask(&authentication, "", "a", "one").await.is_err());
    assert!(ask(&authentication, "", "a", "two").await.is_ok());
    fs::write(&path, "a:broken").unwrap();
    authentication.refresh(&changed);
    assert!(ask(&authentication, "", "a", "two").await.is_ok());
}

#[tokio::test]
async fn a_hundred_thousand_users_are_found() {
    use std::fmt::Write as _;
    let folder = TempDir::new().unwrap();
    let hash = hash::argon2id(b"hunter2");
    let mut text = String::new();
    for number in (0..100_000).rev() {
        writeln!(text, "user-{number}:{hash}").unwrap();
    }
    let path = file(&folder, "users", text);
    let authentication = chain(&format!("{{file: {{path: {path}}}}}"));
    for name in ["user-0", "user-99999", "user-500"] {
        assert!(
            ask(&authentication, "", name, "hunter2").await.is_ok(),
            "{name}"
        );
    }
    assert!(
        ask(&authentication, "", "user-100000", "hunter2")
            .await
            .is_err()
    );
}
