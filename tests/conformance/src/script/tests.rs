use super::*;

fn error(text: &str) -> String {
    Script::parse(text, "s.yaml").unwrap_err().to_string()
}

#[test]
fn a_script_is_read_with_texts_bytes_and_numbers() {
    let text = r#"
        boundaries: kept
        login: [{send: "name d-{n}\n", reply: "+ok\n"}]
        clientid: "d-{n}"
        exchanges: [{send_hex: "01 fF", reply_hex: "0a"}, {send: "x"}]
        messages: [{topic: "down/{n}", payload: "stop", reply: "CMD {n}\n"}]
        farewell: {send: "quit\n"}
    "#;
    let script = Script::parse(text, "s.yaml").unwrap();
    assert_eq!(script.boundaries, Boundaries::Kept);
    assert_eq!(script.login[0].send(7), b"name d-7\n");
    assert_eq!(script.exchanges[0].send(7), [1, 255]);
    assert_eq!(script.exchanges[0].reply(7), [10]);
    assert_eq!(script.exchanges[1].reply(7), b"");
    assert_eq!(script.messages[0].topic(7), "down/7");
    assert_eq!(script.messages[0].reply(7), b"CMD 7\n");
    assert_eq!(script.farewell.unwrap().send(7), b"quit\n");
}

#[test]
fn what_is_wrong_is_said_with_its_field() {
    for (text, told) in [
        (
            "exchanges: []",
            "s.yaml: exchanges: is empty; write one or more",
        ),
        (
            "exchanges: [{send: a}, {reply: b}]",
            "s.yaml: exchanges[1]: has no bytes to send; write send or send_hex",
        ),
        (
            "exchanges: [{send: a, reply: b, reply_hex: '00'}]",
            "s.yaml: exchanges[0].reply: is there as text and as hex; write one",
        ),
        (
            "exchanges: [{send_hex: '0'}]",
            "s.yaml: exchanges[0].send_hex: is not hex; write two digits for each byte",
        ),
        (
            "exchanges: [{send: a}]\nclientid: ''",
            "s.yaml: clientid: is empty; leave it out where there is none",
        ),
    ] {
        let told = format!("the script {told}");
        assert_eq!(error(text), told);
    }
    assert!(error("exchanges: [{sned: a}]").contains("sned"));
    assert!(error("login: []").contains("exchanges"));
}

#[test]
fn a_script_that_is_not_there_is_named() {
    let error = Script::load(Path::new("/nowhere/s.yaml")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the script /nowhere/s.yaml");
}
