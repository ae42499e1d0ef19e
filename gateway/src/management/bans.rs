//! Bans: who is kept out for a time. A new one closes the open connections of whom it names.

use std::{cmp::Ordering, collections::BinaryHeap, str::FromStr as _, time::SystemTime};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, Uri},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use config::{Banned, Until};
use serde_json::{Value, json};

use super::{
    Answer, Error, Fields, Management,
    fields::Named,
    guard::Caller,
    page::Page,
    pods::{Answers, Missing, Question},
};
use crate::{admission::bans::Listed, redis::Failure};

/// The most bytes of a reason: it goes into logs and to handlers.
const LONGEST_REASON: usize = 256;

/// A ban in its place in the list: by the text of whom it names, and those of the file first.
struct Placed {
    place: String,
    ban: Listed,
}

impl From<Listed> for Placed {
    fn from(ban: Listed) -> Self {
        let origin = if ban.of_file { "file" } else { "run time" };
        Self {
            place: format!("{}\0{origin}", ban.who),
            ban,
        }
    }
}

impl Ord for Placed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place)
    }
}

impl PartialOrd for Placed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Placed {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Placed {}

pub(super) async fn list(State(management): State<Management>, uri: Uri) -> Answer<Value> {
    let mut fields = Fields::of_query(&uri)?;
    let page = Page::of(&mut fields)?;
    fields.finish()?;
    let after = page.after.as_deref().map(read_cursor).transpose()?;
    let answer = management.scan(move |subjects| {
        let found = first(subjects.bans.list(), after.as_deref(), page.limit + 1);
        let cursor = |ban: &Placed| BASE64_URL_SAFE_NO_PAD.encode(&ban.place);
        page.answer("bans", found, cursor, |ban| Some(shown(&ban.ban)))
    });
    Ok(Json(answer.await?))
}

pub(super) async fn show(
    State(management): State<Management>,
    Named(who): Named,
    uri: Uri,
) -> Answer<Value> {
    Fields::of_query(&uri)?.finish()?;
    let who = banned("the path", &who)?;
    let named = who.clone();
    let all = management.scan(move |subjects| {
        let all = subjects.bans.list().into_iter();
        all.filter(|ban| ban.who == named).collect::<Vec<_>>()
    });
    // That of the file counts, as it is looked at first.
    let all = all.await?;
    let ban = all.first().ok_or_else(|| nobody(&who))?;
    Ok(Json(shown(ban)))
}

pub(super) async fn add(
    State(management): State<Management>,
    Caller(caller): Caller,
    question: Question,
    uri: Uri,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Error> {
    Fields::of_query(&uri)?.finish()?;
    let listed = read(Fields::of_body(body).await?)?;
    let mut answer = shown(&listed);
    let (who, reason) = (&listed.who, &*listed.reason);
    tracing::info!(caller, %who, until = answer["until"].as_str(), reason, "banned");
    let bans = &management.subjects().bans;
    if management.subjects().others.is_some() {
        bans.ban_in_cluster(who.clone(), listed.until, reason);
    } else {
        bans.ban(who.clone(), listed.until, reason);
    }
    if let Some(others) = management.others_of(&question) {
        let told = told(&listed);
        let kept = others.bans.ban(&listed).await;
        management
            .tell_others(question, told, kept, &mut answer)
            .await;
    }
    Ok((StatusCode::CREATED, Json(answer)))
}

pub(super) async fn lift(
    State(management): State<Management>,
    Named(who): Named,
    Caller(caller): Caller,
    question: Question,
    uri: Uri,
) -> Answer<Value> {
    Fields::of_query(&uri)?.finish()?;
    let who = banned("the path", &who)?;
    let mut was_there = management.subjects().bans.lift(&who);
    let mut answer = json!({ "lifted": { "who": who.to_string() } });
    if let Some(others) = management.others_of(&question) {
        let lifted = others.bans.lift(&who).await;
        was_there |= lifted.as_ref().is_ok_and(|was_kept| *was_kept);
        let lifted = lifted.map(drop);
        let told = management.tell_others(question, Bytes::new(), lifted, &mut answer);
        was_there |= told.await;
    }
    if !was_there {
        return Err(nobody(&who));
    }
    tracing::info!(caller, %who, "lifted a ban");
    Ok(Json(answer))
}

impl Management {
    /// Tells the other pods the same, and notes who does not know of it: those that cannot be asked, until they are in touch
    /// with Redis; and those that come later, where that could not be told. Whether one of them had something to do.
    async fn tell_others(
        &self,
        mut question: Question,
        body: Bytes,
        kept: Result<(), Failure>,
        answer: &mut Value,
    ) -> bool {
        question.body = body;
        let Answers { given, missing } = self.ask_others(&question).await;
        let missing: Vec<_> = missing.iter().map(Missing::shown).collect();
        answer["missing"] = missing.into();
        if let Err(failure) = kept {
            let why = format!("pods that are missing or come later do not know of it: {failure}");
            tracing::warn!(%failure, "Redis does not know of a ban, or that it was lifted");
            answer["not_kept"] = why.into();
        }
        given.iter().any(|(_, status, _)| status.is_success())
    }
}

/// The ban that a request says.
fn read(mut fields: Fields) -> Result<Listed, Error> {
    let who = fields.text("who");
    let until: Option<Until> = fields.parse("until")?;
    let duration = fields.text("duration");
    let reason = fields.text("reason").unwrap_or_default();
    fields.finish()?;
    let who = who.ok_or_else(|| {
        let text = "it is missing; write an IP address, a network, or clientid:NAME";
        Error::field("who", text)
    })?;
    let who = banned("who", &who)?;
    let until = end(until, duration.as_deref())?;
    if reason.len() > LONGEST_REASON || reason.contains(char::is_control) {
        let text = format!("write one line of at most {LONGEST_REASON} bytes");
        return Err(Error::field("reason", text));
    }
    Ok(Listed {
        who,
        until,
        reason: reason.as_str().into(),
        of_file: false,
    })
}

/// The request that says that ban.
fn told(ban: &Listed) -> Bytes {
    let mut told = json!({ "who": ban.who.to_string(), "reason": &*ban.reason });
    match ban.until {
        Some(until) => told["until"] = Until(until).to_string().into(),
        None => told["duration"] = "forever".into(),
    }
    told.to_string().into()
}

fn shown(ban: &Listed) -> Value {
    let until = ban.until.map(|until| Until(until).to_string());
    json!({
        "who": ban.who.to_string(),
        "until": until,
        "reason": &*ban.reason,
        "of_file": ban.of_file,
    })
}

fn banned(field: &str, text: &str) -> Result<Banned, Error> {
    Banned::from_str(text).map_err(|problem| Error::field(field, problem))
}

fn nobody(who: &Banned) -> Error {
    let who = who.to_string();
    Error::NotFound(format!("there is no ban on exactly {}", who.escape_debug()))
}

/// When a new ban ends. Until when or for how long must be said, so that nobody bans for good by leaving it out.
fn end(until: Option<Until>, duration: Option<&str>) -> Result<Option<SystemTime>, Error> {
    let now = SystemTime::now();
    match (until, duration) {
        (Some(_), Some(_)) => Err(Error::field(
            "until",
            "duration is written too; write one of them",
        )),
        (Some(Until(until)), None) if until <= now => Err(Error::field("until", "that is past")),
        (Some(Until(until)), None) => Ok(Some(until)),
        (None, Some("forever")) => Ok(None),
        (None, Some(duration)) => {
            let duration = config::parse_period(duration);
            let duration = duration.map_err(|problem| Error::field("duration", problem))?;
            Ok(now.checked_add(duration))
        }
        (None, None) => {
            let text = "neither until nor duration is written; write until when, or for how long, \
                        such as 10m, or forever";
            Err(Error::field("duration", text))
        }
    }
}

fn read_cursor(text: &str) -> Result<String, Error> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text);
    let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(Page::bad_cursor)
}

/// The first bans behind a place, at most so many.
fn first(all: Vec<Listed>, after: Option<&str>, most: usize) -> Vec<Placed> {
    let mut found = BinaryHeap::new();
    for placed in all.into_iter().map(Placed::from) {
        if after.is_some_and(|after| *placed.place <= *after) {
            continue;
        }
        found.push(placed);
        if found.len() > most {
            found.pop();
        }
    }
    found.into_sorted_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(who: &str, of_file: bool) -> Listed {
        Listed {
            who: who.parse().unwrap(),
            until: None,
            reason: "".into(),
            of_file,
        }
    }

    #[test]
    fn pages_show_each_ban_once_whatever_comes_and_goes() {
        let names = ["10.0.0.9", "clientid:b", "10.0.0.1", "clientid:a"];
        let mut all: Vec<_> = names.iter().map(|who| ban(who, false)).collect();
        all.push(ban("10.0.0.1", true));
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = first(all.clone(), after.as_deref(), 2);
            let Some(last) = page.last() else { break };
            after = Some(last.place.clone());
            seen.extend(
                page.iter()
                    .map(|placed| (placed.ban.who.to_string(), placed.ban.of_file)),
            );
            // One that was shown is lifted, which moves nothing.
            all.retain(|ban| ban.who.to_string() != "10.0.0.1/32" || !ban.of_file);
        }
        let expected = [
            ("10.0.0.1/32", true),
            ("10.0.0.1/32", false),
            ("10.0.0.9/32", false),
            ("clientid:a", false),
            ("clientid:b", false),
        ];
        let expected = expected.map(|(who, of_file)| (who.to_owned(), of_file));
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_ban_says_when_it_ends() {
        let past = Until(SystemTime::UNIX_EPOCH);
        let future: Until = "2090-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(end(Some(future), None), Ok(Some(future.0)));
        assert_eq!(end(None, Some("forever")), Ok(None));
        assert!(end(None, Some("10m")).unwrap().unwrap() > SystemTime::now());
        for (until, duration, field) in [
            (Some(past), None, "until"),
            (Some(future), Some("10m"), "until"),
            (None, None, "duration"),
            (None, Some("10"), "duration"),
            (None, Some("0s"), "duration"),
        ] {
            let error = end(until, duration).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{field}: ")), "{error}");
        }
    }
}
