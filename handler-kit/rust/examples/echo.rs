//! Sends back what devices send. With the address of an adapter as argument it serves the unary service too.

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
    let mut server = Server::new(|_: &Conn| Echo);
    if let Some(adapter) = std::env::args().nth(1) {
        server = server.adapter(adapter);
    }
    server.serve("127.0.0.1:9001".parse()?).await?;
    Ok(())
}
