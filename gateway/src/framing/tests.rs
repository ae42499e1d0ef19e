use config::{
    ByteSize, Delimiter, Endianness, Escape, Flag, FrameError as OnError, HexBytes, Length,
};

use super::*;

/// Any split of any stream.
mod splits;

fn kind(kind: FramingKind) -> Framing {
    Framing {
        kind,
        on_error: OnError::Skip,
        ..Framing::default()
    }
}

fn delimited(bytes: &[u8], strip: bool) -> Framing {
    Framing {
        delimiter: Delimiter {
            bytes: HexBytes(bytes.into()),
            strip,
        },
        ..kind(FramingKind::Delimiter)
    }
}

fn by_length(length: Length) -> Framing {
    Framing {
        length,
        ..kind(FramingKind::Length)
    }
}

fn flagged(start: u8, end: u8, unescape: bool) -> Framing {
    Framing {
        flag: Flag {
            start: start.into(),
            end: end.into(),
            unescape,
            ..Flag::default()
        },
        ..kind(FramingKind::Flag)
    }
}

fn at_most(max: u64, settings: Framing) -> Framing {
    Framing {
        max_frame: ByteSize::new(max),
        ..settings
    }
}

fn framer(settings: &Framing) -> Framer {
    Framer::new(Arc::new(settings.clone())).unwrap()
}

type Outcome = Result<Vec<u8>, FrameError>;

fn drain(framer: &mut Framer) -> Vec<Outcome> {
    std::iter::from_fn(|| framer.next())
        .map(|outcome| outcome.map(|frame| frame.to_vec()))
        .collect()
}

fn cut(settings: &Framing, stream: &[u8]) -> Vec<Outcome> {
    let mut framer = framer(settings);
    framer.push(stream);
    drain(&mut framer)
}

fn frames(settings: &Framing, stream: &[u8]) -> Vec<Vec<u8>> {
    cut(settings, stream)
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside errors")]
fn ok(frame: &[u8]) -> Outcome {
    Ok(frame.into())
}

#[test]
fn where_nothing_is_cut_there_is_no_framer() {
    assert!(Framer::new(Arc::new(Framing::default())).is_none());
}

#[test]
fn an_idle_framer_is_small_and_holds_no_buffer() {
    assert!(size_of::<Framer>() <= 64);
    let mut framer = framer(&kind(FramingKind::Line));
    framer.push(&[b"x".repeat(60_000), b"\n".to_vec()].concat());
    assert_eq!(drain(&mut framer).len(), 1);
    assert_eq!((framer.buffered(), framer.backlog.capacity()), (0, 0));

    framer.push(&[b"x".repeat(60_000), b"\nleft".to_vec()].concat());
    assert_eq!(drain(&mut framer).len(), 1);
    assert_eq!(framer.buffered(), 4);
    assert!(framer.backlog.capacity() < 256);
}

#[test]
fn lines_lose_their_ends() {
    let lines = frames(
        &kind(FramingKind::Line),
        b"one\ntwo\r\n\r\n\nfi\rve\r\r\nsix",
    );
    let expected: [&[u8]; 5] = [b"one", b"two", b"", b"", b"fi\rve\r"];
    assert_eq!(lines, expected);
}

#[test]
fn a_delimiter_stays_or_is_taken_off() {
    let stream = b"a||b|c||||d|";
    let kept: [&[u8]; 3] = [b"a||", b"b|c||", b"||"];
    assert_eq!(frames(&delimited(b"||", false), stream), kept);
    let stripped: [&[u8]; 3] = [b"a", b"b|c", b""];
    assert_eq!(frames(&delimited(b"||", true), stream), stripped);
}

#[test]
fn a_frame_may_have_as_many_bytes_as_allowed_with_its_delimiter() {
    let settings = at_most(6, delimited(b"||", true));
    let too_large = Err(FrameError::TooLarge { max: 6 });
    assert_eq!(cut(&settings, b"1234||5"), [ok(b"1234")]);
    assert_eq!(cut(&settings, b"12345||6||"), [too_large.clone(), ok(b"6")]);
    assert_eq!(cut(&settings, b"12345|"), std::slice::from_ref(&too_large));
    assert_eq!(
        cut(&settings, b"1234567890123456789||a||b||"),
        [too_large, ok(b"a"), ok(b"b")]
    );
}

#[test]
fn a_header_tells_the_length() {
    let big = by_length(Length::default());
    let expected: [&[u8]; 2] = [b"\0\x03abc", b"\0\0"];
    assert_eq!(frames(&big, b"\0\x03abc\0\0\0\x02d"), expected);

    let little = by_length(Length {
        offset: 1,
        width: 3,
        endianness: Endianness::Little,
        adjustment: 2,
        strip: 4,
    });
    let expected: [&[u8]; 2] = [b"abcd", b"ef"];
    assert_eq!(frames(&little, b"!\x02\0\0abcd?\0\0\0ef"), expected);
}

#[test]
fn a_length_may_count_the_whole_frame() {
    let settings = by_length(Length {
        offset: 1,
        adjustment: -3,
        ..Length::default()
    });
    let expected: [&[u8]; 2] = [b"!\0\x05ab", b"!\0\x03"];
    assert_eq!(frames(&settings, b"!\0\x05ab!\0\x03!"), expected);
    let outcomes = cut(&settings, b"!\0\x03!\0\x02!\0\x03");
    assert_eq!(
        outcomes,
        [ok(b"!\0\x03"), Err(FrameError::BadLength { number: 2 })]
    );
}

#[test]
fn an_oversized_frame_is_skipped_by_its_length_without_being_kept() {
    let settings = at_most(
        8,
        by_length(Length {
            width: 4,
            ..Length::default()
        }),
    );
    let mut framer = framer(&settings);
    framer.push(b"\0\0\x40\0");
    assert_eq!(drain(&mut framer), [Err(FrameError::TooLarge { max: 8 })]);
    for _ in 0..16 {
        framer.push(&[b'x'; 1024]);
        assert_eq!((framer.buffered(), framer.backlog.capacity()), (0, 0));
        assert_eq!(drain(&mut framer), []);
    }
    framer.push(b"\0\0\0\x01a");
    assert_eq!(drain(&mut framer), [ok(b"\0\0\0\x01a")]);
}

#[test]
fn a_length_that_no_frame_can_have_ends_it_all() {
    let length = Length {
        width: 8,
        adjustment: 1,
        ..Length::default()
    };
    let mut framer = framer(&by_length(length));
    framer.push(&[b'\xff'; 20]);
    let error = FrameError::BadLength { number: u64::MAX };
    assert!(error.is_fatal());
    assert_eq!(drain(&mut framer), [Err(error)]);
    assert!(framer.is_broken());
    framer.push(&[0; 20]);
    assert_eq!(drain(&mut framer), []);
    assert_eq!(framer.buffered(), 0);
}

#[test]
fn a_frame_stands_between_its_flags() {
    let raw = flagged(0x7e, 0x7e, false);
    let expected: [&[u8]; 2] = [b"\x7ea\x7d\x02b\x7e", b"\x7ec\x7e"];
    assert_eq!(frames(&raw, b"\x7ea\x7d\x02b\x7e\x7ec\x7e\x7ed"), expected);

    let unescaped = flagged(0x7e, 0x7e, true);
    let expected: [&[u8]; 2] = [b"a\x7eb\x7d\x02", b"\x7d"];
    assert_eq!(
        frames(
            &unescaped,
            b"\x7ea\x7d\x02b\x7d\x01\x02\x7e\x7e\x7d\x01\x7e"
        ),
        expected
    );
}

#[test]
fn flags_with_nothing_between_are_filling_where_they_are_the_same() {
    let same = flagged(0x7e, 0x7e, true);
    let expected: [&[u8]; 2] = [b"a", b"b"];
    assert_eq!(
        frames(&same, b"\x7e\x7e\x7ea\x7e\x7e\x7e\x7e\x7eb\x7e\x7e"),
        expected
    );

    let different = flagged(b'(', b')', true);
    let expected: [&[u8]; 2] = [b"", b"a"];
    assert_eq!(frames(&different, b"()(a)("), expected);
}

#[test]
fn bytes_between_frames_are_told_of_once() {
    let settings = flagged(b'(', b')', false);
    let garbage = |byte| Err(FrameError::Garbage { byte });
    assert_eq!(
        cut(&settings, b"one(a)\r\n(b)(c))!"),
        [
            garbage(b'o'),
            ok(b"(a)"),
            garbage(b'\r'),
            ok(b"(b)"),
            ok(b"(c)"),
            garbage(b')')
        ]
    );
}

#[test]
fn a_flag_is_not_shared_by_two_frames() {
    let settings = flagged(0x7e, 0x7e, true);
    let garbage = Err(FrameError::Garbage { byte: b'b' });
    assert_eq!(
        cut(&settings, b"\x7ea\x7eb\x7e\x7ec\x7e"),
        [ok(b"a"), garbage, ok(b"c")]
    );
}

#[test]
fn a_frame_that_did_not_end_does_not_take_the_next_one_along() {
    let settings = flagged(b'(', b')', true);
    assert_eq!(
        cut(&settings, b"(a(b)"),
        [Err(FrameError::Unfinished), ok(b"b")]
    );
}

#[test]
fn a_bad_escape_matters_only_where_escapes_are_undone() {
    let stream = b"\x7ea\x7dbc\x7e\x7ed\x7e";
    let expected: [&[u8]; 2] = [b"\x7ea\x7dbc\x7e", b"\x7ed\x7e"];
    assert_eq!(frames(&flagged(0x7e, 0x7e, false), stream), expected);
    let bad = |written| Err(FrameError::BadEscape { written });
    let unescaped = flagged(0x7e, 0x7e, true);
    assert_eq!(cut(&unescaped, stream), [bad(*b"\x7db"), ok(b"d")]);
    assert_eq!(
        cut(&unescaped, b"\x7ea\x7d\x7e\x7ed\x7e"),
        [bad(*b"\x7d\x7e"), ok(b"d")]
    );
}

#[test]
fn an_escape_may_be_written_with_a_flag() {
    let mut settings = flagged(b'(', b')', true);
    settings.flag.escapes = [*b"\\(", *b"\\)", *b"\\\\"]
        .map(|written| Escape {
            written,
            meant: written[1],
        })
        .into();
    assert_eq!(frames(&settings, br"(a\(b\)c\\)"), [br"a(b)c\"]);
}

#[test]
fn a_frame_without_an_end_is_given_up_at_the_limit() {
    let settings = at_most(6, flagged(b'(', b')', true));
    let too_large = Err(FrameError::TooLarge { max: 6 });
    assert_eq!(cut(&settings, b"(1234)"), [ok(b"1234")]);
    assert_eq!(cut(&settings, b"(12345)(6)"), [too_large.clone(), ok(b"6")]);
    assert_eq!(
        cut(&settings, b"(1234\x7d\x02)(6)"),
        [too_large.clone(), ok(b"6")]
    );
    assert_eq!(cut(&settings, b"(12345"), [too_large]);
}

#[test]
fn the_first_error_is_the_last_where_the_connection_is_to_be_closed() {
    let settings = Framing {
        on_error: OnError::Close,
        ..at_most(6, kind(FramingKind::Line))
    };
    let mut framer = framer(&settings);
    framer.push(b"good\nmuch too long\ngood\n");
    let too_large = FrameError::TooLarge { max: 6 };
    assert_eq!(drain(&mut framer), [ok(b"good"), Err(too_large)]);
    assert!(framer.is_broken() && !too_large.is_fatal());
    framer.push(b"good\n");
    assert_eq!(drain(&mut framer), []);
    assert_eq!(framer.buffered(), 0);
}

#[test]
fn errors_are_told_in_words() {
    let errors = [
        (
            FrameError::TooLarge { max: 9 },
            "a frame has more than 9 bytes; raise",
        ),
        (
            FrameError::BadLength { number: 7 },
            "a frame tells its length as 7, ",
        ),
        (
            FrameError::Garbage { byte: 5 },
            "the byte 0x05 stands between frames, ",
        ),
        (
            FrameError::Unfinished,
            "a frame starts before the one before it",
        ),
        (
            FrameError::BadEscape { written: [125, 3] },
            "a frame has the escape 7d03, ",
        ),
    ];
    for (error, text) in errors {
        assert!(error.to_string().starts_with(text), "{error}");
    }
}
