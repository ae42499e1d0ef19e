//! The contract between the gateway and its users, generated from `proto/`.
//!
//! [`exproto`] is `emqx.exproto.v1`: the services that a handler written for EMQX's `ExProto` serves and calls.
//! Nothing is written by hand here; the meaning of each field stands in `proto/exproto.proto`.

// Generated code keeps to prost's and tonic's style, not to ours.
#![allow(missing_docs, unreachable_pub, clippy::pedantic, clippy::unwrap_used)]

/// `emqx.exproto.v1`: the adapter that the gateway serves, the handler that the user serves.
pub mod exproto {
    tonic::include_proto!("emqx.exproto.v1");
}

/// The compiled descriptors of every `.proto` file here, for gRPC reflection and for the test that pins the wire.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[cfg(test)]
#[path = "wire.rs"]
mod wire;
