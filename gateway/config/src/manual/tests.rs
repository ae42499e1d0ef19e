use super::*;
use crate::{read::read, tree};

fn fields() -> Vec<String> {
    let schema = Schema::new();
    let mut fields = Vec::new();
    schema.fields(&schema.root, "", &mut fields);
    fields
}

/// The manual with its examples put to use.
fn uncommented() -> String {
    let is_key = |word: &str| {
        fields()
            .iter()
            .any(|field| field.rsplit('.').next() == Some(word))
    };
    let line = |line: &str| {
        if let Some((key, example)) = line.split_once("[] # for example ") {
            return format!("{key}{example}");
        }
        match line.split_once("# ") {
            Some((indent, rest)) if indent.trim().is_empty() => match rest.split_once(": ") {
                Some((key, value)) if is_key(key) && !value.contains(' ') => {
                    line.replacen("# ", "", 1)
                }
                _ => line.into(),
            },
            _ => line.into(),
        }
    };
    annotated_default()
        .lines()
        .map(line)
        .collect::<Vec<String>>()
        .join("\n")
}

#[test]
fn it_is_the_default() {
    let config = Config::parse(&annotated_default(), "manual.yaml");
    assert_eq!(
        config.map_err(|error| error.to_string()),
        Ok(Config::default())
    );
}

#[test]
fn its_examples_may_be_used_as_they_are() {
    // Not all at once, as one listener cannot have all of it; so rules across fields are left out.
    let root = tree::parse(&uncommented(), "manual.yaml").unwrap();
    let config: Config = read(&root).unwrap();
    assert!(config.pod.name.is_some());
    assert!(config.cluster.key_file.is_some());
    assert!(config.listeners[0].mountpoint.is_some());
    assert!(config.listeners[0].tcp.receive_buffer.is_some());
    assert_eq!(config.listeners[0].limits.access.len(), 2);
    assert_eq!(config.listeners[0].tls.certificates.len(), 1);
    assert_eq!(config.bans.list.len(), 1);
    assert!(config.adapter.advertised_address.is_some());
}

#[test]
fn each_field_stands_in_it_below_a_comment() {
    let fields = fields();
    assert!(fields.len() > 40, "{fields:?}");

    let text = uncommented();
    let root = tree::parse(&text, "manual.yaml").unwrap();
    for field in &fields {
        assert!(root.has(field), "{field} is missing");
    }

    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    for pair in lines.windows(2) {
        let is_key = !pair[1].is_empty() && !pair[1].starts_with(['#', '-']);
        assert!(
            !is_key || pair[0].starts_with('#'),
            "{} has no comment",
            pair[1]
        );
    }
}

#[test]
fn no_line_is_too_long() {
    for line in annotated_default().lines() {
        assert!(line.chars().count() <= WIDTH, "{line}");
    }
}

#[test]
fn choices_and_bounds_are_named() {
    let text = annotated_default();
    for line in [
        "  # The gRPC service that the handler implements.\n  # - ConnectionUnaryHandler: ",
        "  # - rebind: They go to another replica, which is told `OnSocketCreated` first, with\n  #   ",
        "(a limit on their age) is not taken for lost. From 1 to 64.\n  connections_per_endpoint: 2\n",
        "From 1KiB to\n  # 960KiB.\n  max_payload: 512KiB\n",
        "# - key: Its private key.\n      certificates: [] # for example [{chain: ",
    ] {
        assert!(text.contains(line), "{line}");
    }
}
