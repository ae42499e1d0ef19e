//! The examples in the documentation are good configurations.

use std::{fs, path::Path};

use crate::Config;

#[test]
fn every_example_in_the_documentation_is_a_good_one() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut examples = 0;
    for page in fs::read_dir(docs).unwrap() {
        let page = page.unwrap().path();
        let text = fs::read_to_string(&page).unwrap();
        let mut rest = &*text;
        while let Some((before, from)) = rest.split_once("```yaml\n") {
            let (example, after) = from.split_once("```").expect("an end");
            let line = text.len() - rest.len() + before.len();
            let line = text[..line].lines().count() + 1;
            let origin = format!("{}:{line}", page.display());
            if let Err(error) = Config::parse(example, &origin) {
                panic!("{error}\n{example}");
            }
            examples += 1;
            rest = after;
        }
    }
    assert!(examples > 20, "only {examples} were found");
}
