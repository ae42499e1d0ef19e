//! Sends back what devices send: `echo [address [adapter]]`. It listens on the address, 127.0.0.1:9001 unless said. With
//! the address of an adapter it serves the unary service too.

use exproto_handler::{Bytes, Conn, Handler, Outcome, Server};

struct Echo;

impl Handler for Echo {
    async fn on_open(&mut self, conn: &Conn) -> Outcome {
        println!("{} opens, attempt {}", conn.id(), conn.attempt());
        Ok(())
    }

    async fn on_bytes(&mut self, conn: &Conn, bytes: Bytes) -> Outcome {
        conn.send(bytes).await?;
        Ok(())
    }

    async fn on_close(&mut self, conn: &Conn, reason: &str) -> Outcome {
        println!("{} closes: {reason}", conn.id());
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:9001".to_owned());
    let mut server = Server::new(|_: &Conn| Echo);
    if let Some(adapter) = arguments.next() {
        server = server.adapter(adapter);
    }
    server.serve(address.parse()?).await?;
    Ok(())
}
