//! `echo --handler ordered-stream`: the gateway by the ordered stream, the gateway by unary calls, and a bare TCP echo take
//! turns. Then what only the first two have: lines one way, as many as they take, and echoes at a tenth of the stream's
//! rate.

/// Lines in one direction.
mod lines;
/// Echoes at a given rate.
mod paced;

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;

use self::{lines::Lines, paced::Paced};
use crate::{
    handler::Service,
    report::{Column, Grid, median},
    rounds::{self, Load, Round},
    subject::{Program, Selection, Subject},
    transport::Transport,
    usage,
};

/// Where devices connect.
const TRANSPORTS: [Transport; 2] = [Transport::Tcp, Transport::Lines];
/// The number of the second.
const LINES: usize = 1;

/// A program and its rounds so far.
struct Side {
    name: &'static str,
    subject: Subject,
    echoes: Vec<Round>,
    lines: Vec<Lines>,
    paced: Vec<Paced>,
}

impl Side {
    async fn start(name: &'static str, program: &Program) -> Result<Self> {
        let transports = match program {
            Program::BareTcp => &TRANSPORTS[..1],
            _ => &TRANSPORTS,
        };
        Ok(Self {
            name,
            subject: Subject::start(program, transports, Duration::ZERO).await?,
            echoes: Vec::new(),
            lines: Vec::new(),
            paced: Vec::new(),
        })
    }

    fn figures(&self) -> [Option<f64>; 8] {
        let echoes = |figure: fn(&Round) -> f64| median(self.echoes.iter().map(figure).collect());
        let lines = |figure: fn(&Lines) -> f64| median(self.lines.iter().map(figure).collect());
        let paced = |figure: fn(&Paced) -> f64| median(self.paced.iter().map(figure).collect());
        [
            echoes(|round| round.messages_per_second),
            echoes(|round| round.p50_us),
            echoes(|round| round.p99_us),
            echoes(|round| round.cpu_us_per_message[0]),
            lines(|round| round.per_second),
            lines(|round| round.cpu_us_per_line),
            paced(|round| round.p50_us),
            paced(|round| round.p99_us),
        ]
    }
}

/// Measures and prints.
pub(crate) async fn run(load: &Load, selection: &Selection, as_json: bool) -> Result<()> {
    usage::ensure_open_files(load.connections.get())?;
    let program = selection.gateway(Service::Unary).await?;
    let Some(Program::Gateway(executable, _)) = program else {
        anyhow::bail!("there is nothing beside the ceiling: leave --ceiling-only out");
    };
    let stream = Program::Gateway(executable.clone(), Service::OrderedStream);
    let unary = Program::Gateway(executable, Service::Unary);
    let mut sides = [
        Side::start("stream", &stream).await?,
        Side::start("unary", &unary).await?,
        Side::start("tcp", &Program::BareTcp).await?,
    ];
    let rounds = load.times.rounds;
    for number in 1..=rounds.get() {
        for side in &mut sides {
            eprintln!("{}, echoes, round {number} of {rounds}", side.name);
            let round = rounds::round(&mut side.subject, 0, load).await?;
            eprintln!("  {round}");
            side.echoes.push(round);
        }
    }
    let fastest = sides[0].figures()[0].context("no round was measured")?;
    let pace = fastest / 10.0;
    for number in 1..=rounds.get() {
        for side in &mut sides[..2] {
            eprintln!("{}, lines, round {number} of {rounds}", side.name);
            let round = lines::round(&mut side.subject, LINES, load).await?;
            eprintln!("  {round}");
            side.lines.push(round);
            eprintln!(
                "{}, {pace:.0} echoes/s, round {number} of {rounds}",
                side.name
            );
            let round = paced::round(&mut side.subject, pace, load).await?;
            eprintln!("  {round}");
            side.paced.push(round);
        }
    }
    print(&sides, load, pace, as_json);
    for side in sides {
        side.subject.stop().await?;
    }
    Ok(())
}

fn print(sides: &[Side; 3], load: &Load, pace: f64, as_json: bool) {
    let [stream, unary, tcp] = sides.each_ref().map(Side::figures);
    let ratio = |figure: usize, of: [Option<f64>; 8], to: [Option<f64>; 8]| {
        let ratio = of[figure].zip(to[figure]).map(|(of, to)| of / to);
        json!(ratio.map(|ratio| (ratio * 1000.0).round() / 1000.0))
    };
    let settings = [
        ("connections", json!(load.connections)),
        ("payload_bytes", json!(load.payload)),
        ("rounds", json!(load.times.rounds)),
        ("round_seconds", json!(load.times.duration.as_secs_f64())),
        ("paced_per_second", json!(pace.round())),
        ("echoes_stream_to_tcp", ratio(0, stream, tcp)),
        ("echoes_stream_to_unary", ratio(0, stream, unary)),
        ("echo_cpu_unary_to_stream", ratio(3, unary, stream)),
        ("lines_stream_to_unary", ratio(4, stream, unary)),
        ("line_cpu_unary_to_stream", ratio(5, unary, stream)),
        ("paced_p99_stream_to_unary", ratio(7, stream, unary)),
    ];
    let columns = [
        Column::new("echoes/s", "messages_per_second", 0),
        Column::new("p50 µs", "p50_us", 1),
        Column::new("p99 µs", "p99_us", 1),
        Column::new("CPU µs", "cpu_us_per_message", 2),
        Column::new("lines/s", "lines_per_second", 0),
        Column::new("CPU µs/line", "cpu_us_per_line", 2),
        Column::new("paced p50", "paced_p50_us", 1),
        Column::new("paced p99", "paced_p99_us", 1),
    ];
    let mut grid = Grid::new(&settings, columns);
    for side in sides {
        grid = grid.row(side.name, side.figures());
    }
    grid.print(as_json);
}
