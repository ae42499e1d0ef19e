//! A device: a socket to the gateway, and what the played handler hears of its connection.

use std::{io::ErrorKind, net::SocketAddr};

use proto::exproto::{Address, Message};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    Stage,
    handler::{Kind, Line, Manner},
};
use crate::{
    check::{Miss, ensure, fail},
    shown,
};

/// A device whose connection the handler was told of.
pub(super) struct Device {
    stage: Stage,
    socket: Option<TcpStream>,
    /// Where it is, as it sees it itself.
    pub(super) address: SocketAddr,
    /// Where the gateway is, as it sees it.
    pub(super) gateway: SocketAddr,
    /// Its connection.
    pub(super) conn: String,
}

impl Device {
    /// Connects, and waits until the handler hears of it.
    pub(super) async fn connect(stage: &Stage) -> Result<Self, Miss> {
        Self::connect_to(stage, Manner::Plain).await
    }

    /// The same, with a handler of that manner from the first callback on.
    pub(super) async fn connect_to(stage: &Stage, manner: Manner) -> Result<Self, Miss> {
        let is_held = manner == Manner::Held;
        stage.heard.write(|heard| heard.next = manner);
        let told = Self::told(stage, is_held).await;
        stage.heard.write(|heard| heard.next = Manner::Plain);
        told
    }

    async fn told(stage: &Stage, is_held: bool) -> Result<Self, Miss> {
        let socket = connect(stage).await?;
        let (address, gateway) = ends(&socket)?;
        let found = stage.heard.until(|heard| {
            // Whatever manner follows is to be that of the next callback, and not of this one.
            let is_new = |line: &Line| !line.claimed && (is_held || line.in_flight == 0);
            let mut new = heard.connections.iter().filter(|(_, line)| is_new(line));
            // Behind a balancer no address is the device's; then it is the one that is new.
            let (conn, _) = new
                .clone()
                .find(|(_, line)| is_of(line, address))
                .or_else(|| new.next())?;
            Some(conn.clone())
        });
        let conn = stage
            .patience
            .wait("callback for a device that connected", found)
            .await?;
        stage.heard.write(|heard| {
            if let Some(line) = heard.connections.get_mut(&conn) {
                line.claimed = true;
            }
        });
        Ok(Self {
            stage: stage.clone(),
            socket: Some(socket),
            address,
            gateway,
            conn,
        })
    }

    /// Connects and authenticates with a clientid of its own.
    pub(super) async fn client(stage: &Stage) -> Result<(Self, String), Miss> {
        let device = Self::connect(stage).await?;
        let clientid = stage.name("client");
        let said = stage.caller.authenticate(&device.conn, &clientid).await?;
        said.done("Authenticate")?;
        Ok((device, clientid))
    }

    /// Answers its callbacks in that manner from now on, also one that is held.
    pub(super) fn answer(&self, manner: Manner) {
        self.stage.heard.write(|heard| {
            if let Some(line) = heard.connections.get_mut(&self.conn) {
                line.manner = manner;
            }
        });
    }

    /// Writes to the gateway.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Miss> {
        let patience = self.stage.patience;
        let Some(socket) = &mut self.socket else {
            return fail("the device has closed");
        };
        match patience
            .wait("room to write to the gateway", socket.write_all(bytes))
            .await?
        {
            Ok(()) => Ok(()),
            Err(error) => fail(format!("the device cannot write: {error}")),
        }
    }

    /// Reads what must come.
    pub(super) async fn reads(&mut self, expected: &[u8]) -> Result<(), Miss> {
        let patience = self.stage.patience;
        let Some(socket) = &mut self.socket else {
            return fail("the device has closed");
        };
        let mut seen = vec![0; expected.len()];
        let mut count = 0;
        while count < expected.len() {
            let missing = shown::bytes(&expected[count..]);
            let read = socket.read(&mut seen[count..]);
            match patience
                .wait(&format!("{missing} at the device"), read)
                .await?
            {
                Ok(0) => return fail(format!("the device was closed before it got {missing}")),
                Ok(more) => count += more,
                Err(error) => {
                    return fail(format!(
                        "the device cannot read: {error}; missing {missing}"
                    ));
                }
            }
        }
        match shown::difference(expected, &seen) {
            Some(difference) => fail(format!("the device: {difference}")),
            None => Ok(()),
        }
    }

    /// Waits until the gateway has closed the socket, and nothing came before that.
    pub(super) async fn is_closed(&mut self, more: std::time::Duration) -> Result<(), Miss> {
        let patience = self.stage.patience.longer(more);
        let Some(socket) = &mut self.socket else {
            return fail("the device has closed");
        };
        let mut byte = [0; 256];
        match patience
            .wait("end of the socket at the device", socket.read(&mut byte))
            .await?
        {
            Ok(0) => Ok(()),
            Ok(count) => fail(format!(
                "the device got {} before the end",
                shown::bytes(&byte[..count])
            )),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
            Err(error) => fail(format!("the device cannot read: {error}")),
        }
    }

    /// Writes no more, and reads on.
    pub(super) async fn finish(&mut self) -> Result<(), Miss> {
        if let Some(socket) = &mut self.socket {
            // A socket that is gone already shows that where it is read.
            let _ = socket.shutdown().await;
        }
        Ok(())
    }

    /// Closes the socket.
    pub(super) fn leave(&mut self) {
        self.socket = None;
    }

    /// Looks at what was heard of it.
    pub(super) fn line<T>(&self, look: impl FnOnce(&Line) -> T) -> T {
        self.stage
            .heard
            .write(|heard| look(heard.connections.entry(self.conn.clone()).or_default()))
    }

    /// Waits until the handler has heard something of it.
    pub(super) async fn hears<T>(
        &self,
        what: &str,
        mut look: impl FnMut(&Line) -> Option<T>,
    ) -> Result<T, Miss> {
        let heard = &self.stage.heard;
        let found = heard.until(|heard| heard.connections.get(&self.conn).and_then(&mut look));
        self.stage.patience.wait(what, found).await
    }

    /// Watches that the handler does not hear that; tells what it did hear.
    pub(super) async fn never_hears<T>(
        &self,
        mut look: impl FnMut(&Line) -> Option<T>,
    ) -> Option<T> {
        let heard = &self.stage.heard;
        let found = heard.until(|heard| heard.connections.get(&self.conn).and_then(&mut look));
        self.stage.patience.watch(found).await
    }

    /// Waits until the handler has got these bytes of it, and no others.
    pub(super) async fn delivered(&self, expected: &[u8]) -> Result<(), Miss> {
        let look = |line: &Line| {
            let bytes = &line.bytes;
            let differs = shown::difference(expected, bytes).is_some();
            (differs || bytes.len() >= expected.len()).then(|| bytes.clone())
        };
        let waited = self.hears("bytes", look).await;
        let Ok(bytes) = waited else {
            let seen = self.line(|line| line.bytes.len());
            return fail(format!(
                "the handler got {seen} of {} bytes",
                expected.len()
            ));
        };
        if let Some(difference) = shown::difference(expected, &bytes) {
            return fail(format!("the handler: {difference}"));
        }
        ensure!(
            bytes.len() == expected.len(),
            "the handler got {} bytes of {}",
            bytes.len(),
            expected.len()
        );
        Ok(())
    }

    /// Waits for OnSocketClosed; tells the reason.
    pub(super) async fn closed(&self) -> Result<String, Miss> {
        self.hears("OnSocketClosed", |line| line.closed().map(str::to_owned))
            .await
    }

    /// Waits for so many messages.
    pub(super) async fn messages(&self, count: usize) -> Result<Vec<Message>, Miss> {
        let look = |line: &Line| {
            let messages = line.messages();
            (messages.len() >= count).then_some(messages)
        };
        let waited = self.hears("messages", look).await;
        if waited.is_err() {
            let came = self.line(|line| line.messages().len());
            return fail(format!("{came} of {count} messages came"));
        }
        waited
    }
}

/// A socket to the gateway under test.
pub(super) async fn connect(stage: &Stage) -> Result<TcpStream, Miss> {
    let connecting = TcpStream::connect(&*stage.gateway);
    let socket = match stage
        .patience
        .wait("connection to the gateway", connecting)
        .await?
    {
        Ok(socket) => socket,
        Err(error) => {
            return fail(format!(
                "a device cannot connect to {}: {error}",
                stage.gateway
            ));
        }
    };
    // Each write is to be a segment of its own.
    let _ = socket.set_nodelay(true);
    Ok(socket)
}

fn ends(socket: &TcpStream) -> Result<(SocketAddr, SocketAddr), Miss> {
    match (socket.local_addr(), socket.peer_addr()) {
        (Ok(local), Ok(peer)) => Ok((local, peer)),
        (Err(error), _) | (_, Err(error)) => fail(format!("the device's socket is gone: {error}")),
    }
}

fn is_of(line: &Line, device: SocketAddr) -> bool {
    line.events.iter().any(|event| match &event.kind {
        Kind::Created(Some(info)) => info
            .peername
            .as_ref()
            .is_some_and(|peer| is_at(peer, device)),
        _ => false,
    })
}

/// Whether both are the same.
pub(super) fn is_at(address: &Address, socket: SocketAddr) -> bool {
    let host = address.host.parse::<std::net::IpAddr>();
    host.is_ok_and(|host| host.to_canonical() == socket.ip().to_canonical())
        && address.port == u32::from(socket.port())
}
