//! A device: a client of OpenSSL, in memory.

use std::time::Duration;

use openssl::{
    error::ErrorStack,
    ssl::{ErrorCode, Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslStream},
};

use super::super::pipe::Pipe;
use crate::native;

pub(super) struct Device {
    pub(super) stream: SslStream<Pipe>,
    pub(super) up: bool,
    pub(super) closed: bool,
    pub(super) error: Option<String>,
    pub(super) received: Vec<Vec<u8>>,
}

impl Device {
    /// Believes whatever certificate it is shown.
    pub(super) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(super) fn with(set: impl FnOnce(&mut SslContextBuilder)) -> Self {
        let mut context = SslContextBuilder::new(SslMethod::dtls_client()).unwrap();
        context.set_options(SslOptions::NO_QUERY_MTU);
        set(&mut context);
        Self::of(Ssl::new(&context.build()).unwrap())
    }

    pub(super) fn naming(name: &str) -> Self {
        let mut ssl = Ssl::new(&context()).unwrap();
        ssl.set_hostname(name).unwrap();
        Self::of(ssl)
    }

    pub(super) fn of(mut ssl: Ssl) -> Self {
        ssl.set_mtu(1200).unwrap();
        ssl.set_connect_state();
        Self {
            stream: SslStream::new(ssl, Pipe::default()).unwrap(),
            up: false,
            closed: false,
            error: None,
            received: Vec::new(),
        }
    }

    pub(super) fn psk(identity: &'static str, key: &'static [u8], ciphers: &str) -> Self {
        Self::with(|context| {
            context.set_cipher_list(ciphers).unwrap();
            context.set_psk_client_callback(move |_, _, to, into| {
                to[..identity.len()].copy_from_slice(identity.as_bytes());
                to[identity.len()] = 0;
                into[..key.len()].copy_from_slice(key);
                Ok(key.len())
            });
        })
    }

    pub(super) fn drive(&mut self) {
        if self.error.is_some() || self.closed {
            return;
        }
        let _ = ErrorStack::get();
        if !self.up {
            match self.stream.do_handshake() {
                Ok(()) => self.up = true,
                Err(error) if error.code() == ErrorCode::WANT_READ => return,
                Err(error) => {
                    self.error = Some(error.to_string());
                    return;
                }
            }
        }
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match self.stream.ssl_read(&mut buffer) {
                Ok(length) => self.received.push(buffer[..length].to_vec()),
                Err(error) if error.code() == ErrorCode::WANT_READ => return,
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => {
                    self.closed = true;
                    return;
                }
                Err(error) => {
                    self.error = Some(error.to_string());
                    return;
                }
            }
        }
    }

    pub(super) fn send(&mut self, plain: &[u8]) {
        let sent = self.stream.ssl_write(plain).unwrap();
        assert_eq!(sent, plain.len());
    }

    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        self.stream.get_mut().outgoing.pop_front()
    }

    pub(super) fn give(&mut self, datagram: &[u8]) {
        self.stream.get_mut().incoming = Some(datagram.to_vec());
        self.drive();
    }

    pub(super) fn timeout(&self) -> Option<Duration> {
        native::timeout(self.stream.ssl()).filter(|_| !self.up)
    }

    pub(super) fn on_timeout(&mut self) {
        assert!(native::handle_timeout(&mut self.stream));
    }
}

fn context() -> SslContext {
    let mut context = SslContextBuilder::new(SslMethod::dtls_client()).unwrap();
    context.set_options(SslOptions::NO_QUERY_MTU);
    context.build()
}
