//! What both sides say first, and what is wrong with it.

use std::sync::Arc;

use proto::stream::{GatewayBatch, GatewayHello, HandlerBatch, HandlerHello};

use super::{Credits, Settings};

/// The version that is spoken here.
const VERSION: u32 = 1;
/// A name of a handler's process may be so long.
const LONGEST_INSTANCE: usize = 64;
/// The largest batch that a handler takes which says nothing about it.
const BATCH: usize = 1024 * 1024;
/// The smallest that a handler may ask for: any one event of bytes fits well.
const SMALLEST_BATCH: usize = 256 * 1024;

/// What a handler has said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    /// Its process and that one's memory.
    pub(super) instance: Arc<str>,
    /// The credits of each connection's events; 0 where it leaves that to us.
    pub(super) events: Credits,
    /// The largest batch that it takes.
    pub(super) max_batch: usize,
    /// What it is written with.
    pub(super) library: String,
}

/// Our first batch, on lane number `lane`.
pub(super) fn ours(settings: &Settings, lane: usize) -> GatewayBatch {
    let told = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    GatewayBatch {
        hello: Some(GatewayHello {
            version: VERSION,
            capabilities: Vec::new(),
            pod: settings.identity.pod.clone(),
            epoch: settings.identity.epoch,
            lane: told(lane),
            adapter_address: settings.identity.adapter_address.clone(),
            max_commands: told(settings.commands.count),
            max_command_bytes: told(settings.commands.bytes),
            max_batch_bytes: told(settings.max_batch_bytes),
            heartbeat_ms: u32::try_from(settings.heartbeat.as_millis()).unwrap_or(u32::MAX),
        }),
        ..GatewayBatch::default()
    }
}

/// The handler's first batch.
pub(super) fn theirs(batch: HandlerBatch) -> Result<Hello, String> {
    let HandlerHello {
        version,
        instance,
        max_events,
        max_event_bytes,
        max_batch_bytes,
        library,
        ..
    } = batch.hello.ok_or("its first batch has no hello")?;
    if version == 0 {
        return Err("hello.version is 0; the lowest is 1".to_owned());
    }
    if instance.is_empty() || instance.len() > LONGEST_INSTANCE {
        let length = instance.len();
        return Err(format!(
            "hello.instance has {length} bytes; 1 to {LONGEST_INSTANCE} are needed"
        ));
    }
    let max_batch = match max_batch_bytes as usize {
        0 => BATCH,
        few if few < SMALLEST_BATCH => {
            return Err(format!(
                "hello.max_batch_bytes is {few}; at least {SMALLEST_BATCH} are needed"
            ));
        }
        bytes => bytes,
    };
    Ok(Hello {
        instance: instance.into(),
        events: Credits {
            count: max_events as usize,
            bytes: max_event_bytes as usize,
        },
        max_batch,
        library,
    })
}
