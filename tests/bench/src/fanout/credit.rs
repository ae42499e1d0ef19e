//! How much a publisher may have under way: Redis' channels know no back-pressure, so it holds back by itself.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time,
};

/// After this long without a sign of the last messages they are taken for lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far all others are.
pub(super) struct Credit {
    /// By process; its own is never behind.
    far: watch::Receiver<Vec<u64>>,
    pub(super) address: SocketAddr,
    _listening: JoinSet<()>,
}

impl Credit {
    /// Of one process of so many.
    pub(super) async fn listen(own: u32, pods: u32) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut all = vec![0; pods as usize];
        all[own as usize] = u64::MAX;
        let (says, far) = watch::channel(all);
        let says = Arc::new(says);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                open.spawn(follow(socket, says.clone()));
            }
        });
        Ok(Self {
            far,
            address,
            _listening: listening,
        })
    }

    /// Waits until fewer than `window` of the first `published` messages are under way, and tells how many more may be.
    pub(super) async fn room(&mut self, published: u64, window: u32) -> Result<u64> {
        let room = |all: &Vec<u64>| (least(all) + u64::from(window)).saturating_sub(published);
        let all = time::timeout(PATIENCE, self.far.wait_for(|all| room(all) > 0)).await;
        let all = all.context("the others are told, and do not say that they have it")?;
        Ok(room(&*all?))
    }

    /// Waits until all have so many, or until that is in vain.
    pub(super) async fn settled(&mut self, published: u64) {
        let all = self.far.wait_for(|all| least(all) >= published);
        // What is missing is counted by whoever misses it.
        let _ = time::timeout(PATIENCE, all).await;
    }
}

fn least(all: &[u64]) -> u64 {
    all.iter().copied().min().unwrap_or(0)
}

async fn follow(mut socket: TcpStream, says: Arc<watch::Sender<Vec<u64>>>) {
    let Ok(process) = socket.read_u32().await else {
        return;
    };
    while let Ok(far) = socket.read_u64().await {
        says.send_modify(|all| {
            if let Some(place) = all.get_mut(process as usize) {
                *place = far;
            }
        });
    }
}
