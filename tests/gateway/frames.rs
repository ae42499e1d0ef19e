//! Frames in streams: each kind, over each transport that has streams, however the bytes arrive.

use config::{FrameError, Framing, FramingKind};
use exproto_tests::{Carrier, Event};

use crate::setting::Setting;

const STREAMS: [Carrier; 3] = [Carrier::Tcp, Carrier::Tls, Carrier::Psk];

/// A kind of framing, bytes, and the frames that are in them.
struct Case {
    framing: Framing,
    bytes: Vec<u8>,
    frames: Vec<Vec<u8>>,
}

fn framing(kind: FramingKind, adapt: impl FnOnce(&mut Framing)) -> Framing {
    let mut framing = Framing {
        kind,
        max_frame: config::ByteSize::kib(1),
        ..Framing::default()
    };
    adapt(&mut framing);
    framing
}

fn cases() -> [Case; 4] {
    let delimiter = |strip| {
        framing(FramingKind::Delimiter, |framing| {
            framing.delimiter.bytes = "23".parse().unwrap();
            framing.delimiter.strip = strip;
        })
    };
    [
        Case {
            framing: delimiter(true),
            bytes: b"*HQ,1#*HQ,2##".to_vec(),
            frames: vec![b"*HQ,1".to_vec(), b"*HQ,2".to_vec(), Vec::new()],
        },
        Case {
            framing: delimiter(false),
            bytes: b"*HQ,1#*HQ,2#".to_vec(),
            frames: vec![b"*HQ,1#".to_vec(), b"*HQ,2#".to_vec()],
        },
        Case {
            // `aa 55`, two bytes that count all of it, and what follows.
            framing: framing(FramingKind::Length, |framing| {
                framing.length.offset = 2;
                framing.length.adjustment = -4;
                framing.length.strip = 4;
            }),
            bytes: vec![0xaa, 0x55, 0, 7, 1, 2, 3, 0xaa, 0x55, 0, 5, 9],
            frames: vec![vec![1, 2, 3], vec![9]],
        },
        Case {
            // JT/T 808.
            framing: framing(FramingKind::Flag, |framing| framing.flag.unescape = true),
            bytes: vec![
                0x7e, 0x30, 0x7d, 0x02, 0x08, 0x7d, 0x01, 0x55, 0x7e, 0x7e, 1, 0x7e,
            ],
            frames: vec![vec![0x30, 0x7e, 0x08, 0x7d, 0x55], vec![1]],
        },
    ]
}

async fn frame(setting: &Setting) -> Vec<u8> {
    let Event::Received(bytes) = setting.handler.next().await.event else {
        panic!("not OnReceivedBytes");
    };
    bytes.to_vec()
}

#[tokio::test]
async fn each_frame_is_one_callback_however_it_arrives() {
    for carrier in STREAMS {
        for case in cases() {
            let setting = Setting::new(carrier, |config| {
                config.listeners[0].framing = case.framing.clone();
            })
            .await;
            let mut device = setting.device().await;
            // At once.
            device.send(&case.bytes).await;
            setting.handler.created().await;
            for expected in &case.frames {
                assert_eq!(&frame(&setting).await, expected, "{:?}", case.framing.kind);
            }
            // Byte by byte.
            for byte in &case.bytes {
                device.send([*byte]).await;
            }
            for expected in &case.frames {
                assert_eq!(&frame(&setting).await, expected, "{:?}", case.framing.kind);
            }
        }
    }
}

#[tokio::test]
async fn bad_frames_close_or_are_skipped() {
    let too_long = [vec![b'x'; 2000], b"#ok#".to_vec()].concat();
    let no_start = [&b"garbage"[..], &[0x7e, 1, 0x7e]].concat();
    let oversized = [&[8, 0][..], &vec![1; 2048], &[0, 1, 5]].concat();
    let cases = [
        (cases()[0].framing.clone(), too_long, b"ok".to_vec()),
        (cases()[3].framing.clone(), no_start, vec![1]),
        (
            framing(FramingKind::Length, |framing| framing.length.strip = 2),
            oversized,
            vec![5],
        ),
    ];
    for carrier in STREAMS {
        for (framing, bytes, after) in &cases {
            for skip in [false, true] {
                let setting = Setting::new(carrier, |config| {
                    config.listeners[0].framing = framing.clone();
                    if skip {
                        config.listeners[0].framing.on_error = FrameError::Skip;
                    }
                })
                .await;
                let mut device = setting.device().await;
                setting.handler.created().await;
                device.send(bytes).await;
                let bad = "exproto_bad_frames_total{listener=\"tcp\"}";
                if skip {
                    assert_eq!(&frame(&setting).await, after);
                } else {
                    assert_eq!(setting.handler.closed().await, "frame_error");
                    device.closed().await;
                }
                setting.gateway.counts(bad, 1).await;
            }
        }
    }
}

#[tokio::test]
async fn a_frame_that_is_under_way_is_no_silence() {
    for carrier in STREAMS {
        let setting = Setting::new(carrier, |config| {
            config.listeners[0].framing.kind = FramingKind::Line;
            config.listeners[0].first_byte_timeout = Some(std::time::Duration::from_secs(1));
        })
        .await;
        let mut slow = setting.device().await;
        slow.send("half a li").await;
        let received = "exproto_received_bytes_total{listener=\"tcp\"}";
        setting.gateway.counts(received, 9).await;
        setting.handler.created().await;
        // One that comes later and says nothing is its clock.
        let _silent = setting.device().await;
        setting.handler.created().await;
        assert_eq!(setting.handler.closed().await, "idle_timeout");
        slow.send("ne\n").await;
        assert_eq!(frame(&setting).await, b"half a line");
    }
}
