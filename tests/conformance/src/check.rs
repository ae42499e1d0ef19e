//! One check, and the run of a list of them.
//!
//! A check looks at one rule and at nothing else, so that one fault fails one check. What it builds on is named by
//! `needs`: where that has failed, it says nothing.

use std::{
    collections::BTreeSet,
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

/// What a check came to: what was seen, or why not.
pub type Verdict = Result<String, Miss>;

/// Why a check has not passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// The rule is broken; what was seen instead.
    Failed(String),
    /// The rule says nothing here; why.
    Skipped(String),
}

/// A check under way.
pub type Run<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// One rule, on a `C`: all that it takes to look.
pub struct Check<C> {
    /// Its name in reports and in `--only`.
    pub id: &'static str,
    /// What must be so, in one line.
    pub rule: &'static str,
    /// Where the rule is from.
    pub source: &'static str,
    /// Checks without which this one says nothing.
    pub needs: &'static [&'static str],
    /// Why it is left out unless it is named, or all are asked for.
    pub optional: Option<&'static str>,
    /// Looks whether it is so.
    pub run: for<'a> fn(&'a C) -> Run<'a>,
}

impl<C> Check<C> {
    /// A check that is not optional.
    pub(crate) const fn new(
        id: &'static str,
        rule: &'static str,
        source: &'static str,
        needs: &'static [&'static str],
        run: for<'a> fn(&'a C) -> Run<'a>,
    ) -> Self {
        Self {
            id,
            rule,
            source,
            needs,
            optional: None,
            run,
        }
    }

    /// It is left out unless somebody asks for it.
    pub(crate) const fn unless_asked(mut self, why: &'static str) -> Self {
        self.optional = Some(why);
        self
    }
}

/// Which checks run.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// These and what they need; empty: all.
    pub only: Vec<String>,
    /// Also those that are optional.
    pub all: bool,
}

/// A check that was run, or left out.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The check's name.
    pub id: &'static str,
    /// Its rule.
    pub rule: &'static str,
    /// Where the rule is from.
    pub source: &'static str,
    /// What it came to.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// A name that no check has.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no check {0:?}; --list names them all")]
pub struct UnknownCheck(String);

impl Choice {
    /// Whether each name is that of a check.
    pub fn verify<C>(&self, checks: &[Check<C>]) -> Result<(), UnknownCheck> {
        let is_known = |id: &str| checks.iter().any(|check| check.id == id);
        match self.only.iter().find(|id| !is_known(id)) {
            Some(unknown) => Err(UnknownCheck(unknown.clone())),
            None => Ok(()),
        }
    }

    /// The named checks with all that they need, in the order of the list.
    fn chosen<'a, C>(&self, checks: &'a [Check<C>]) -> Vec<&'a Check<C>> {
        let mut wanted: Vec<&str> = self.only.iter().map(String::as_str).collect();
        let mut next = 0;
        while let Some(id) = wanted.get(next).copied() {
            let check = checks.iter().find(|check| check.id == id);
            wanted.extend(check.map_or(&[][..], |check| check.needs));
            next += 1;
        }
        let is_wanted = |check: &&Check<C>| wanted.is_empty() || wanted.contains(&check.id);
        checks.iter().filter(is_wanted).collect()
    }

    fn leaves_out<C>(&self, check: &Check<C>) -> Option<String> {
        let named = self.only.iter().any(|id| id == check.id);
        let why = check.optional.filter(|_| !self.all && !named)?;
        Some(format!("{why}; --all or --only {} runs it", check.id))
    }
}

/// Runs the chosen checks one after the other, and tells `done` of each.
pub async fn run<C>(
    checks: &[Check<C>],
    choice: &Choice,
    context: &C,
    mut done: impl FnMut(&Finding),
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut missed = BTreeSet::new();
    for check in choice.chosen(checks) {
        let began = Instant::now();
        let needed = check.needs.iter().find(|id| missed.contains(*id));
        let verdict = match (choice.leaves_out(check), needed) {
            (Some(why), _) => Err(Miss::Skipped(why)),
            (None, Some(needed)) => Err(Miss::Skipped(format!(
                "needs {needed}, which has not passed"
            ))),
            (None, None) => (check.run)(context).await,
        };
        if verdict.is_err() {
            missed.insert(check.id);
        }
        let finding = Finding {
            id: check.id,
            rule: check.rule,
            source: check.source,
            verdict,
            took: began.elapsed(),
        };
        done(&finding);
        findings.push(finding);
    }
    findings
}

/// The check has failed: this was seen.
pub fn fail<T>(seen: impl Into<String>) -> Result<T, Miss> {
    Err(Miss::Failed(seen.into()))
}

/// The check says nothing here: that is why.
pub fn skip<T>(why: impl Into<String>) -> Result<T, Miss> {
    Err(Miss::Skipped(why.into()))
}

/// Fails the check unless it is so.
macro_rules! ensure {
    ($so:expr, $($seen:tt)+) => {
        if !$so {
            return $crate::check::fail(format!($($seen)+));
        }
    };
}
pub(crate) use ensure;

#[cfg(test)]
mod tests;
