//! The program as its user starts it: what it prints, what it writes, how it ends.

use std::process::{Command, Output};

use exproto_tests::free_address;

use crate::line_handler::{self, Fault};

async fn run(arguments: Vec<String>) -> (Option<i32>, String, String) {
    let output = tokio::task::spawn_blocking(move || {
        let mut program = Command::new(env!("CARGO_BIN_EXE_exproto-conformance"));
        program.args(arguments).output().unwrap()
    });
    let Output {
        status,
        stdout,
        stderr,
    } = output.await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn words(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|each| (*each).to_owned()).collect()
}

/// A handler, and the arguments for it.
async fn handler(fault: Option<Fault>) -> Vec<String> {
    let adapter = free_address();
    let handler = line_handler::start(adapter, fault).await.to_string();
    words(&[
        "--handler",
        &handler,
        "--listen",
        &adapter.to_string(),
        "--deadline",
        "5s",
    ])
}

fn script(folder: &tempfile::TempDir, text: &str) -> String {
    let path = folder.path().join("script.yaml");
    // Long lines, so that few of them fill a callback.
    std::fs::write(&path, text.replace("LONG", &"and so on ".repeat(100))).unwrap();
    path.display().to_string()
}

const GOOD: &str = r#"exchanges: [{send: "echo {n} LONG\n", reply: "{n} LONG\n"}]"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_handler_is_reported_in_text_and_xml_and_ends_in_0() {
    let folder = tempfile::tempdir().unwrap();
    let xml = folder.path().join("report.xml").display().to_string();
    let mut arguments = handler(None).await;
    arguments.extend(words(&[
        "--script",
        &script(&folder, GOOD),
        "--junit",
        &xml,
    ]));
    let (code, said, _) = run(arguments).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("passed   exchanges: 1 exchanges\n"), "{said}");
    assert!(
        said.contains("skipped  authenticate: the script has no clientid\n"),
        "{said}"
    );
    assert!(said.ends_with(" 0 failed, 6 skipped\n"), "{said}");
    let xml = std::fs::read_to_string(xml).unwrap();
    assert!(
        xml.contains(r#"<testcase name="exchanges" classname="emqx.exproto.v1""#),
        "{xml}"
    );
    assert!(
        xml.contains(r#"failures="0""#) && xml.contains(r#"skipped="6""#),
        "{xml}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_fails_is_told_and_ends_in_1() {
    let folder = tempfile::tempdir().unwrap();
    let xml = folder.path().join("report.xml").display().to_string();
    let mut arguments = handler(Some(Fault::AnswersInCapitals)).await;
    let text = GOOD.replace("reply: \"", "reply: \"x");
    arguments.extend(words(&[
        "--script",
        &script(&folder, &text),
        "--junit",
        &xml,
        "--only",
        "exchanges",
    ]));
    let (code, said, _) = run(arguments).await;
    assert_eq!(code, Some(1), "{said}");
    let told = "FAILED   exchanges: what the script's device sends is answered by the script's replies, and nothing else\n";
    assert!(said.contains(told), "{said}");
    assert!(
        said.contains("seen:   device 2: from byte 0 on expected"),
        "{said}"
    );
    assert!(said.ends_with("1 passed, 1 failed, 0 skipped\n"), "{said}");
    let xml = std::fs::read_to_string(xml).unwrap();
    assert!(xml.contains("<failure message=\"device 2:"), "{xml}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_begin_says_why_and_ends_in_2() {
    let folder = tempfile::tempdir().unwrap();
    let (nobody, free) = (free_address().to_string(), free_address().to_string());
    let bad = script(&folder, "exchanges: []");
    let reach = [
        "--handler",
        &nobody,
        "--listen",
        &free,
        "--deadline",
        "200ms",
    ];
    for (more, told) in [
        (&[][..], "cannot reach the handler at http://127.0.0.1:"),
        (
            &["--script", &bad],
            "exchanges: is empty; write one or more",
        ),
        (
            &["--script", "/nowhere.yaml"],
            "cannot read the script /nowhere.yaml",
        ),
        (
            &["--junit", "/nowhere/report.xml"],
            "cannot write /nowhere/report.xml (--junit)",
        ),
        (
            &["--only", "nonsense"],
            "there is no check \"nonsense\"; --list names them all",
        ),
        (&["--adapter", "x:1"], "cannot be used with"),
    ] {
        let (code, _, said) = run(words(&[&reach[..], more].concat())).await;
        assert!(
            code == Some(2) && said.contains(told),
            "{more:?}: {code:?} {said}"
        );
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let (code, _, said) = run(words(&["--handler", &nobody, "--listen", &taken])).await;
    let told = format!("cannot listen on {taken}; choose another address with --listen");
    assert!(code == Some(2) && said.contains(&told), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_checks_are_listed_with_their_sources() {
    for (subject, id) in [
        (&["--handler", "x:1"][..], "one-byte-splits: "),
        (
            &["--gateway", "x:1", "--adapter", "y:2"],
            "close-delivers: ",
        ),
    ] {
        let (code, said, _) = run(words(&[subject, &["--list"]].concat())).await;
        assert!(
            code == Some(0) && said.contains(id) && said.contains("    proto: "),
            "{said}"
        );
    }
}
