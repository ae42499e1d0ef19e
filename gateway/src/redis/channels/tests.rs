use super::*;

fn names(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn said(batch: Option<Batch>) -> String {
    batch.map_or_else(String::new, |batch| {
        let mut channels: Vec<&str> = batch.channels.iter().map(|name| &**name).collect();
        channels.sort_unstable();
        let sign = if batch.subscribe { '+' } else { '-' };
        format!("{sign}{}", channels.join(","))
    })
}

fn slot() -> u16 {
    slot_of(b"{p}")
}

#[test]
fn what_is_wanted_is_said_once_and_settled_when_confirmed() {
    let channels = Channels::default();
    let (ticket, touched) = channels.want(&names(&["{p}a", "{p}b", "{p}a"]), |_| 1);
    assert_eq!(touched.iter().collect::<Vec<_>>(), [slot()]);
    assert_eq!(said(channels.next(slot(), 1, 10)), "+{p}a,{p}b");
    assert_eq!(said(channels.next(slot(), 1, 10)), "");
    channels.confirmed(slot(), 1, "{p}a", true);
    assert_eq!(ticket.left.load(Ordering::Relaxed), 1);
    channels.confirmed(slot(), 1, "{p}b", true);
    assert_eq!(ticket.left.load(Ordering::Relaxed), 0);
    let (ticket, touched) = channels.want(&names(&["{p}a"]), |_| 1);
    assert!(touched.is_empty() && ticket.left.load(Ordering::Relaxed) == 0);
}

#[test]
fn a_change_of_mind_is_said_in_order() {
    let channels = Channels::default();
    channels.want(&names(&["{p}a"]), |_| 1);
    assert_eq!(said(channels.next(slot(), 1, 10)), "+{p}a");
    channels.forget(&names(&["{p}a"]));
    channels.want(&names(&["{p}a"]), |_| 1);
    assert_eq!(
        said(channels.next(slot(), 1, 10)),
        "",
        "it was asked for already"
    );
    channels.forget(&names(&["{p}a"]));
    assert_eq!(said(channels.next(slot(), 1, 10)), "-{p}a");
    let (ticket, _) = channels.want(&names(&["{p}a"]), |_| 1);
    assert_eq!(said(channels.next(slot(), 1, 10)), "+{p}a");
    channels.confirmed(slot(), 1, "{p}a", true);
    channels.confirmed(slot(), 1, "{p}a", false);
    channels.confirmed(slot(), 1, "{p}a", true);
    assert_eq!(ticket.left.load(Ordering::Relaxed), 0);
    channels.forget(&names(&["{p}a"]));
    assert_eq!(said(channels.next(slot(), 1, 10)), "-{p}a");
    channels.confirmed(slot(), 1, "{p}a", false);
    assert!(channels.slots().is_empty() || channels.count() == 0);
}

#[test]
fn one_batch_does_one_thing_and_is_bounded() {
    let channels = Channels::default();
    channels.want(&names(&["{p}a", "{p}b", "{p}c"]), |_| 0);
    assert_eq!(said(channels.next(slot(), 1, 2)), "+{p}a,{p}b");
    channels.forget(&names(&["{p}a"]));
    channels.want(&names(&["{p}d"]), |_| 1);
    assert_eq!(said(channels.next(slot(), 1, 9)), "+{p}c");
    assert_eq!(said(channels.next(slot(), 1, 9)), "-{p}a");
    assert_eq!(said(channels.next(slot(), 1, 9)), "+{p}d");
}

#[test]
fn a_new_session_begins_from_nothing() {
    let channels = Channels::default();
    channels.want(&names(&["{p}a", "{p}b"]), |_| 1);
    channels.next(slot(), 1, 10);
    channels.confirmed(slot(), 1, "{p}a", true);
    channels.forget(&names(&["{p}b"]));
    assert!(channels.begin(slot()));
    assert_eq!(said(channels.next(slot(), 2, 10)), "+{p}a");
    channels.confirmed(slot(), 1, "{p}a", true);
    let (ticket, _) = channels.want(&names(&["{p}a"]), |_| 2);
    assert_eq!(
        ticket.left.load(Ordering::Relaxed),
        1,
        "the old session is over"
    );
    channels.confirmed(slot(), 2, "{p}a", true);
    assert_eq!(ticket.left.load(Ordering::Relaxed), 0);
}

#[test]
fn what_was_taken_away_or_not_done_is_said_again() {
    let channels = Channels::default();
    channels.want(&names(&["{p}a"]), |_| 1);
    let batch = channels.next(slot(), 1, 10).unwrap();
    channels.undone(&batch, 1, None);
    assert_eq!(said(channels.next(slot(), 1, 10)), "+{p}a");
    channels.confirmed(slot(), 1, "{p}a", true);
    channels.taken_away(slot(), 1, "{p}a");
    assert_eq!(said(channels.next(slot(), 1, 10)), "+{p}a");
}

#[tokio::test]
async fn who_waits_is_told_of_a_refusal() {
    let channels = Channels::default();
    let (ticket, _) = channels.want(&names(&["{p}a"]), |_| 1);
    let batch = channels.next(slot(), 1, 10).unwrap();
    channels.undone(&batch, 1, Some(&Failure::Lost));
    assert!(matches!(ticket.settled().await, Err(Failure::Lost)));
    assert_eq!(said(channels.next(slot(), 1, 10)), "");
}
