use proptest::prelude::*;

use super::*;

/// Settings of every kind, small enough that garbage meets their limits, over an alphabet that garbage is made of.
fn settings() -> impl Strategy<Value = Framing> {
    let delimiters = prop::sample::select(vec![&b"\r\n"[..], b"a", b"aab", b"abab"]);
    let length = (0..3_u32, 1..=8_u32, any::<bool>(), -4..4_i32, 0..4_u32);
    let kinds = prop_oneof![
        Just(kind(FramingKind::Line)),
        (delimiters, any::<bool>()).prop_map(|(bytes, strip)| delimited(bytes, strip)),
        length.prop_map(|(offset, width, big, adjustment, strip)| by_length(Length {
            offset,
            width,
            endianness: if big {
                Endianness::Big
            } else {
                Endianness::Little
            },
            adjustment,
            strip,
        })),
        any::<bool>().prop_map(|unescape| flagged(0x7e, 0x7e, unescape)),
        any::<bool>().prop_map(|unescape| flagged(b'a', b'b', unescape)),
    ];
    let on_error = prop_oneof![4 => Just(OnError::Skip), 1 => Just(OnError::Close)];
    (kinds, 11..40_u64, on_error).prop_map(|(settings, max, on_error)| Framing {
        on_error,
        ..at_most(max, settings)
    })
}

fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let bytes = b"aab\r\n\n\x7d\x7e\x7e\x00\x00\x00\x01\x02\x05\xff";
    let byte = prop_oneof![30 => prop::sample::select(&bytes[..]), 1 => any::<u8>()];
    prop::collection::vec(byte, 0..400)
}

fn pieces<'a>(stream: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = stream;
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        let size = (*sizes.next()?).min(rest.len());
        let (piece, after) = rest.split_at(size);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// What comes out of a stream in pieces, with the bounds checked after each.
fn in_pieces(settings: &Framing, stream: &[u8], sizes: &[usize]) -> Vec<Outcome> {
    let mut framer = framer(settings);
    let mut outcomes = Vec::new();
    let max = settings.max_frame.bytes();
    for piece in pieces(stream, sizes) {
        framer.push(piece);
        assert!(framer.buffered() <= max + piece.len());
        outcomes.extend(drain(&mut framer));
        assert!(framer.buffered() < max, "{} bytes wait", framer.buffered());
        assert!(framer.backlog.capacity() <= 2 * (max + piece.len()).max(64));
    }
    outcomes
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        Just(vec![1]),
        prop::collection::vec(1..6_usize, 1..20),
        prop::collection::vec(1..90_usize, 1..20),
    ]
}

/// A frame as it goes over the wire.
fn wire(settings: &Framing, payload: &[u8]) -> Vec<u8> {
    match settings.kind {
        FramingKind::None => unreachable!("nothing is cut"),
        FramingKind::Line => [payload, b"\r\n"].concat(),
        FramingKind::Delimiter => [payload, &settings.delimiter.bytes.0].concat(),
        FramingKind::Length => {
            let length = u16::try_from(payload.len()).unwrap();
            [&length.to_be_bytes()[..], payload].concat()
        }
        FramingKind::Flag => {
            let escape = |byte: &u8| match byte {
                0x7d => vec![0x7d, 1],
                0x7e => vec![0x7d, 2],
                byte => vec![*byte],
            };
            let inside = payload.iter().flat_map(escape);
            [0x7e].into_iter().chain(inside).chain([0x7e]).collect()
        }
    }
}

fn round_trips() -> impl Strategy<Value = (Framing, Vec<Vec<u8>>)> {
    let strip_length = Length {
        strip: 2,
        ..Length::default()
    };
    let any_bytes = prop::collection::vec(any::<u8>(), 1..200);
    let text = prop::collection::vec(b' '..b'z', 0..200);
    prop_oneof![
        (
            Just(kind(FramingKind::Line)),
            prop::collection::vec(text.clone(), 0..9)
        ),
        (
            Just(delimited(b"{}{", true)),
            prop::collection::vec(text, 0..9)
        ),
        (
            Just(by_length(strip_length)),
            prop::collection::vec(any_bytes.clone(), 0..9)
        ),
        (
            Just(flagged(0x7e, 0x7e, true)),
            prop::collection::vec(any_bytes, 0..9)
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn frames_are_the_same_however_they_were_split(
        (settings, payloads) in round_trips(),
        sizes in sizes(),
    ) {
        let stream: Vec<u8> = payloads.iter().flat_map(|payload| wire(&settings, payload)).collect();
        let frames: Vec<Vec<u8>> = in_pieces(&settings, &stream, &sizes)
            .into_iter()
            .map(Result::unwrap)
            .collect();
        prop_assert_eq!(frames, payloads);
    }

    #[test]
    fn garbage_is_the_same_however_it_was_split(
        settings in settings(),
        stream in garbage(),
        sizes in sizes(),
    ) {
        prop_assert_eq!(in_pieces(&settings, &stream, &sizes), cut(&settings, &stream));
    }
}
