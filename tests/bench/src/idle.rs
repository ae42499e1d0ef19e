//! `idle`: how much memory a program holds more with idle connections than without, each program by itself. Both
//! figures are read once they have come to rest, since callbacks end and allocators give back in their own time.

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::json;
use tokio::time;

use crate::{
    counts,
    generator::{self, Window},
    report::Report,
    subject::{Program, Selection, Subject},
    usage,
};

/// What to hold open.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Connections open at the same time.
    #[arg(long, value_name = "N", default_value = "10000")]
    connections: NonZeroUsize,
    /// Lets each connection echo one payload before it idles.
    #[arg(long)]
    after_traffic: bool,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
}

/// In bytes; of the warm-up and of `--after-traffic`.
const PAYLOAD: usize = 64;
/// Code paths, channels and allocators are warm after this.
const WARM_UP: (usize, Duration) = (64, Duration::from_secs(2));
/// Memory is at rest if it has not moved for this long ...
const REST: Duration = Duration::from_secs(5);
/// ... by more bytes than this ...
const MOVE: u64 = 64 * 1024;
/// ... and it is never waited for longer than this.
const RESTLESS: Duration = Duration::from_secs(60);

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    usage::ensure_open_files(args.connections.get())?;
    let gateway = match args.selection.gateway().await? {
        Some(program) => Some(measure(&program, &args).await?),
        None => None,
    };
    let ceiling = measure(&Program::Bare, &args).await?;
    report(&args, gateway.as_ref(), &ceiling).print(args.json, "bare_ratio");
    Ok(())
}

/// Bytes of resident memory.
struct Memory {
    before: u64,
    after: u64,
}

async fn measure(program: &Program, args: &Args) -> Result<Memory> {
    let mut subject = Subject::start(program).await?;
    let [pid, _] = subject.pids();
    let target = subject.target;
    let connections = args.connections.get();
    let name = subject.name;
    let load = async {
        eprintln!("{name}: warming up");
        let (few, duration) = WARM_UP;
        let devices = generator::open(&target, few, PAYLOAD).await?;
        generator::echo(devices, Window::after(Duration::ZERO, duration)).await?;
        counts::wait_for_open(target.counts, 0).await?;
        let before = at_rest(pid).await?;

        eprintln!("{name}: {before} bytes; opening {connections} connections");
        let mut devices = generator::open(&target, connections, PAYLOAD).await?;
        if args.after_traffic {
            devices = generator::echo_once(devices).await?;
        }
        let after = at_rest(pid).await?;
        eprintln!("{name}: {after} bytes");
        // None may have been closed meanwhile.
        counts::wait_for_open(target.counts, connections).await?;
        drop(devices);
        Ok(Memory { before, after })
    };
    let memory = subject.watch(load).await?;
    subject.stop().await?;
    Ok(memory)
}

/// The memory of a process once it no longer moves.
async fn at_rest(pid: u32) -> Result<u64> {
    let began = Instant::now();
    let mut anchor = usage::resident_bytes(pid)?;
    let mut since = began;
    loop {
        time::sleep(Duration::from_millis(200)).await;
        let now = usage::resident_bytes(pid)?;
        if now.abs_diff(anchor) > MOVE {
            (anchor, since) = (now, Instant::now());
        }
        if since.elapsed() >= REST {
            return Ok(now);
        }
        if began.elapsed() >= RESTLESS {
            eprintln!("its memory still moves after {RESTLESS:?}; taken as it is now");
            return Ok(now);
        }
    }
}

fn report(args: &Args, gateway: Option<&Memory>, ceiling: &Memory) -> Report {
    let both = |figure: &dyn Fn(&Memory) -> f64| [gateway.map(figure), Some(figure(ceiling))];
    let settings = [
        ("connections", json!(args.connections)),
        ("after_traffic", json!(args.after_traffic)),
    ];
    Report::new(&settings)
        .row(
            "bytes per connection",
            ["bytes_per_connection", "bare_bytes_per_connection"],
            both(&|memory| memory.per_connection(args.connections)),
        )
        .row(
            "bytes before",
            ["rss_before_bytes", "bare_rss_before_bytes"],
            both(&|memory| float(memory.before)),
        )
        .row(
            "bytes after",
            ["rss_after_bytes", "bare_rss_after_bytes"],
            both(&|memory| float(memory.after)),
        )
}

impl Memory {
    fn per_connection(&self, connections: NonZeroUsize) -> f64 {
        (float(self.after) - float(self.before)) / float(connections.get() as u64)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no process has 2^53 bytes of memory"
)]
fn float(bytes: u64) -> f64 {
    bytes as f64
}
