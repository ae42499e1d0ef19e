//! The processes of one side: started, told what to do all at once, and ended.

use std::{fmt, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::future::{select_all, try_join_all};
use tempfile::TempDir;
use tokio::{net::TcpListener, time};

use super::terms::{Answer, Done, Line, Order, Run};
use crate::process::{Process, own};

/// How long a process may take until it is there.
const STARTED: Duration = Duration::from_secs(20);

/// What the processes of a side do it with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A gateway.
    Pod,
    /// The `redis` crate alone.
    Bare,
}

impl fmt::Display for Kind {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Pod => "pods",
            Self::Bare => "ceiling",
        })
    }
}

/// The processes.
pub(crate) struct Side {
    kind: Kind,
    members: Vec<(Process, Line)>,
    /// Holds the cluster's key; removed when dropped.
    _folder: TempDir,
}

impl Side {
    /// So many processes, the first of which publish. All subscribe to what these publish.
    pub(crate) async fn start(
        kind: Kind,
        redis: String,
        pods: u32,
        publishers: u32,
    ) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
        let key = folder.path().join("key");
        std::fs::write(&key, [7; 32])?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let control = listener.local_addr()?.to_string();
        let options = |number: u32| {
            let name = if kind == Kind::Pod { "pod" } else { "bare" };
            [
                ("--kind", name.to_owned()),
                ("--number", number.to_string()),
                ("--pods", pods.to_string()),
                ("--publishers", publishers.to_string()),
                ("--redis", redis.clone()),
                ("--key", key.display().to_string()),
                ("--control", control.clone()),
            ]
        };
        let processes = (0..pods).map(|number| {
            let command = own("fanout-member", &options(number))?;
            Process::spawn("member", command)
        });
        let mut processes = processes.collect::<Result<Vec<_>>>()?;
        let here = time::timeout(STARTED, gather(&listener, pods));
        let lines = tokio::select! {
            death = first_death(&mut processes) => return Err(death),
            here = here => here.context("the processes do not start in time")??,
        };
        let publishers: Vec<SocketAddr> = lines
            .iter()
            .map(|(_, address)| *address)
            .take(publishers as usize)
            .collect();
        let lines = lines.into_iter().map(|(line, _)| line);
        let mut side = Self {
            kind,
            members: processes.into_iter().zip(lines).collect(),
            _folder: folder,
        };
        side.all(&Order::Know(publishers)).await?;
        Ok(side)
    }

    /// For `/proc`.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.members
            .iter()
            .map(|(process, _)| process.pid)
            .collect()
    }

    /// Publishes, and tells what came to each.
    pub(crate) async fn load(&mut self, run: &Run) -> Result<Vec<Done>> {
        self.all(&Order::Run(*run)).await?;
        let told = self.all(&Order::Tell).await?;
        let done = told.into_iter().map(|answer| match answer {
            Answer::Told(done) => Ok(done),
            other => bail!("{other:?} is no answer"),
        });
        done.collect()
    }

    /// Tells all of them the same, and waits for all answers.
    pub(crate) async fn all(&mut self, order: &Order) -> Result<Vec<Answer>> {
        let orders = vec![order.clone(); self.members.len()];
        self.each(orders).await
    }

    /// Tells the first ones these, and waits for their answers.
    pub(crate) async fn each(&mut self, orders: Vec<Order>) -> Result<Vec<Answer>> {
        ensure!(orders.len() <= self.members.len(), "more orders than pods");
        let kind = self.kind;
        let members = self.members.iter_mut().zip(orders);
        let asked = members.map(|((process, line), order)| async move {
            let answer = async {
                line.say(&order).await?;
                line.hear().await
            };
            let answer = tokio::select! {
                biased;
                death = process.death() => Err(death),
                answer = answer => answer,
            };
            match answer? {
                Some(answer) => Ok(answer),
                None => Err(process.death().await),
            }
        });
        try_join_all(asked).await.with_context(|| kind.to_string())
    }

    /// Kills the processes and waits until they are gone.
    pub(crate) async fn stop(self) -> Result<()> {
        for (process, _) in self.members {
            process.stop().await?;
        }
        Ok(())
    }
}

/// A line to each, in their order, and where it is told how far others are.
async fn gather(listener: &TcpListener, pods: u32) -> Result<Vec<(Line, SocketAddr)>> {
    let mut here = Vec::new();
    while here.len() < pods as usize {
        let (socket, _) = listener.accept().await?;
        let mut line = Line::new(socket)?;
        here.push(async move {
            match line.hear().await? {
                Some(Answer::Here(number, address)) => Ok((number, line, address)),
                other => bail!("{other:?} is no beginning"),
            }
        });
    }
    let mut here: Vec<_> = try_join_all(here).await?;
    here.sort_by_key(|(number, ..)| *number);
    Ok(here
        .into_iter()
        .map(|(_, line, address)| (line, address))
        .collect())
}

async fn first_death(processes: &mut [Process]) -> anyhow::Error {
    let deaths = processes
        .iter_mut()
        .map(|process| Box::pin(process.death()));
    select_all(deaths).await.0
}
