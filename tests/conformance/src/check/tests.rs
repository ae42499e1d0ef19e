use super::*;

fn checks() -> Vec<Check<()>> {
    let check = |id, needs, optional, run| Check {
        id,
        rule: "a rule",
        source: "a source",
        needs,
        optional,
        run,
    };
    vec![
        check("good", &[], None, |()| {
            Box::pin(async { Ok("fine".to_owned()) })
        }),
        check("bad", &["good"], None, |()| {
            Box::pin(async { fail("broken") })
        }),
        check("after", &["bad"], None, |()| {
            Box::pin(async { Ok(String::new()) })
        }),
        check("rare", &[], Some("seldom asked for"), |()| {
            Box::pin(async { Ok(String::new()) })
        }),
    ]
}

async fn ids(choice: Choice) -> Vec<(&'static str, bool)> {
    let findings = run(&checks(), &choice, &(), |_| {}).await;
    let short = findings.iter().map(|each| (each.id, each.verdict.is_ok()));
    short.collect()
}

#[tokio::test]
async fn a_check_is_left_out_where_what_it_needs_has_failed() {
    let findings = run(&checks(), &Choice::default(), &(), |_| {}).await;
    let why = "needs bad, which has not passed".to_owned();
    assert_eq!(findings[2].verdict, Err(Miss::Skipped(why)));
}

#[tokio::test]
async fn a_named_check_runs_with_all_that_it_needs() {
    let only = |id: &str| Choice {
        only: vec![id.to_owned()],
        all: false,
    };
    assert_eq!(ids(only("bad")).await, [("good", true), ("bad", false)]);
    assert_eq!(ids(only("after")).await.len(), 3);
    assert_eq!(ids(only("rare")).await, [("rare", true)]);
}

#[tokio::test]
async fn an_optional_check_says_how_to_run_it() {
    let findings = run(&checks(), &Choice::default(), &(), |_| {}).await;
    let why = "seldom asked for; --all or --only rare runs it".to_owned();
    assert_eq!(findings[3].verdict, Err(Miss::Skipped(why)));
    let all = Choice {
        only: Vec::new(),
        all: true,
    };
    assert_eq!(ids(all).await[3], ("rare", true));
}

#[test]
fn a_name_that_no_check_has_is_told() {
    let choice = Choice {
        only: vec!["godo".to_owned()],
        all: false,
    };
    let error = choice.verify(&checks()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no check \"godo\"; --list names them all"
    );
}

#[test]
fn checks_come_after_what_they_need_and_have_names_of_their_own() {
    fn verify<C>(checks: &[Check<C>]) {
        for (index, check) in checks.iter().enumerate() {
            let before: Vec<_> = checks[..index].iter().map(|each| each.id).collect();
            assert!(!before.contains(&check.id), "{} is there twice", check.id);
            for need in check.needs {
                assert!(before.contains(need), "{} comes before {need}", check.id);
            }
            assert!(!check.rule.contains('\n') && !check.source.is_empty());
        }
    }
    verify(&crate::handler::checks());
    verify(&crate::gateway::checks());
}
