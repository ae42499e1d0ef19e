//! Who may publish and subscribe: each source by itself.

use crate::{AuthorizationSource, Config};

use super::{Report, authentication};

pub(super) fn check(config: &Config, report: &mut Report) {
    for (index, source) in config.authorization.sources.iter().enumerate() {
        let field = format!("authorization.sources[{index}].{}", source.as_str());
        match source {
            AuthorizationSource::File(_) => {}
            AuthorizationSource::Http(http) => {
                authentication::client(&format!("{field}.client"), &http.url, &http.client, report);
            }
            AuthorizationSource::Redis(redis) => {
                authentication::server(&format!("{field}.server"), &redis.server, report);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    fn sources(text: &str) -> String {
        let text = format!("authorization: {{sources: [{text}]}}");
        match Config::parse(&text, "x") {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn good_sources_are_taken() {
        for text in [
            "",
            "file: {path: /a}",
            "{http: {url: \"https://a/b\", client: {ca_file: /a, timeout: 1s}}}, {file: {path: /a}}",
            "{redis: {server: {url: \"redis://a\"}, key: \"acl:${clientid}\"}}",
        ] {
            assert_eq!(sources(text), "", "{text}");
        }
    }

    #[test]
    fn bad_sources_are_refused_by_the_field() {
        for (text, expected) in [
            ("file", "authorization.sources[0]: "),
            (
                "{file: {}}",
                "authorization.sources[0].file: path is missing",
            ),
            (
                "{http: {url: \"http://a\", client: {ca_file: /a}}}",
                "authorization.sources[0].http.client.ca_file: the address",
            ),
            (
                "{redis: {server: {url: \"redis://a\"}, key: acl}}",
                "authorization.sources[0].redis.key: \"acl\" is one key",
            ),
            (
                "{redis: {server: {url: \"redis://a\", username: u}}}",
                "authorization.sources[0].redis.server.username: a user",
            ),
        ] {
            let found = sources(text);
            assert!(found.contains(expected), "{text}: {found}");
        }
        let found = Config::parse("authorization: {default: maybe}", "x").unwrap_err();
        assert!(found.to_string().contains("one of allow, deny"), "{found}");
    }
}
