//! `idle`: how much memory a program holds more with idle connections than without, each program by itself. Both
//! figures are read once they have come to rest, since callbacks end and allocators give back in their own time.
//! TCP stands beside the ceiling, other transports beside a goal.

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::time;

use crate::{
    counts,
    device::Device,
    generator::{self, Target, Window},
    handler::Service,
    report::Report,
    subject::{Program, Selection, Subject},
    swarm::Swarm,
    transport::Transport,
    usage,
};

/// What to hold open.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How the devices connect.
    #[arg(long, value_enum, default_value_t = Transport::Tcp)]
    transport: Transport,
    /// Connections open at the same time. [default: 10000; 100000 with udp, 2000 with dtls]
    #[arg(long, value_name = "N")]
    connections: Option<NonZeroUsize>,
    /// Lets each connection echo one payload before it idles; all transports but tcp do so anyway.
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
/// No device is forgotten before the end.
const IDLE: Duration = Duration::from_secs(3600);

impl Args {
    fn connections(&self) -> usize {
        let usual = match self.transport {
            Transport::Tcp | Transport::Lines | Transport::Tls => 10_000,
            Transport::Udp => 100_000,
            Transport::Dtls | Transport::DtlsPsk => 2_000,
        };
        self.connections.map_or(usual, NonZeroUsize::get)
    }

    fn after_traffic(&self) -> bool {
        self.after_traffic || self.transport != Transport::Tcp
    }

    /// Bytes per connection that the gateway should not exceed.
    fn goal(&self) -> f64 {
        let kibibytes = match self.transport {
            Transport::Tcp | Transport::Lines => 8.0,
            Transport::Tls => 20.0,
            Transport::Udp => 2.0,
            Transport::Dtls | Transport::DtlsPsk => 45.0,
        };
        kibibytes * 1024.0
    }
}

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    if args.transport != Transport::Udp {
        // The devices' own sockets.
        usage::ensure_open_files(args.connections())?;
    }
    let gateway = match args.selection.gateway(Service::Unary).await? {
        Some(program) => Some(measure(&program, &args).await?),
        None => None,
    };
    if args.transport == Transport::Tcp {
        let ceiling = measure(&Program::Bare, &args).await?;
        beside_ceiling(&args, gateway.as_ref(), &ceiling).print(args.json, "bare_ratio");
    } else {
        ensure!(gateway.is_some(), "the ceiling has tcp only");
        beside_goal(&args, gateway.as_ref()).print(args.json, "goal_ratio");
    }
    Ok(())
}

/// Bytes of resident memory.
struct Memory {
    before: u64,
    after: u64,
}

async fn measure(program: &Program, args: &Args) -> Result<Memory> {
    let mut subject = Subject::start(program, &[args.transport], IDLE).await?;
    let [pid, _] = subject.pids();
    let target = subject.target(0).clone();
    let name = subject.name;
    let load = async {
        eprintln!("{name}: warming up");
        let mut crowd = Crowd::new(&target).await?;
        crowd.warm_up(&target).await?;
        let before = at_rest(pid).await?;

        let connections = args.connections();
        eprintln!("{name}: {before} bytes; opening {connections} connections");
        let open = crowd
            .open(&target, connections, args.after_traffic())
            .await?;
        let after = at_rest(pid).await?;
        eprintln!("{name}: {after} bytes");
        // None may have been closed meanwhile.
        counts::wait_for_open(target.counts, open).await?;
        drop(crowd);
        Ok(Memory { before, after })
    };
    let memory = subject.watch(load).await?;
    subject.stop().await?;
    Ok(memory)
}

/// The devices, which are open until it is dropped.
enum Crowd {
    Connected(Vec<Device>),
    /// They never say that they go, so those of the warm-up stay.
    Datagrams(Swarm),
}

impl Crowd {
    async fn new(target: &Target) -> Result<Self> {
        Ok(match target.transport {
            Transport::Udp => Self::Datagrams(Swarm::new(target.device, PAYLOAD).await?),
            _ => Self::Connected(Vec::new()),
        })
    }

    async fn warm_up(&self, target: &Target) -> Result<()> {
        let (few, duration) = WARM_UP;
        match self {
            Self::Connected(_) => {
                let devices = generator::open(target, few, PAYLOAD).await?;
                generator::echo(devices, Window::after(Duration::ZERO, duration)).await?;
                counts::wait_for_open(target.counts, 0).await
            }
            Self::Datagrams(swarm) => {
                let until = Instant::now() + duration;
                while Instant::now() < until {
                    swarm.greet(0..u32::try_from(few)?).await?;
                }
                counts::wait_for_open(target.counts, few).await
            }
        }
    }

    /// Opens so many connections, and tells how many are open now.
    async fn open(
        &mut self,
        target: &Target,
        connections: usize,
        after_traffic: bool,
    ) -> Result<usize> {
        match self {
            Self::Connected(devices) => {
                let mut open = generator::open(target, connections, PAYLOAD).await?;
                if after_traffic {
                    open = generator::echo_once(open).await?;
                }
                *devices = open;
                Ok(connections)
            }
            Self::Datagrams(swarm) => {
                let all = WARM_UP.0 + connections;
                let devices = u32::try_from(WARM_UP.0)?..u32::try_from(all)?;
                swarm.greet(devices).await?;
                Ok(all)
            }
        }
    }
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

fn beside_ceiling(args: &Args, gateway: Option<&Memory>, ceiling: &Memory) -> Report {
    let both = |figure: &dyn Fn(&Memory) -> f64| [gateway.map(figure), Some(figure(ceiling))];
    Report::new(&settings(args))
        .row(
            "bytes per connection",
            ["bytes_per_connection", "bare_bytes_per_connection"],
            both(&|memory| memory.per_connection(args.connections())),
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

fn beside_goal(args: &Args, gateway: Option<&Memory>) -> Report {
    let each = gateway.map(|memory| memory.per_connection(args.connections()));
    Report::new(&settings(args))
        .columns(["gateway", "goal"])
        .row(
            "bytes per connection",
            ["bytes_per_connection", "goal_bytes_per_connection"],
            [each, Some(args.goal())],
        )
        .row(
            "bytes before",
            ["rss_before_bytes", "goal_rss_before_bytes"],
            [gateway.map(|memory| float(memory.before)), None],
        )
        .row(
            "bytes after",
            ["rss_after_bytes", "goal_rss_after_bytes"],
            [gateway.map(|memory| float(memory.after)), None],
        )
}

fn settings(args: &Args) -> [(&'static str, Value); 3] {
    [
        ("transport", json!(args.transport.name())),
        ("connections", json!(args.connections())),
        ("after_traffic", json!(args.after_traffic())),
    ]
}

impl Memory {
    fn per_connection(&self, connections: usize) -> f64 {
        (float(self.after) - float(self.before)) / float(connections as u64)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no process has 2^53 bytes of memory"
)]
fn float(bytes: u64) -> f64 {
    bytes as f64
}
