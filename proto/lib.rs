//! The contract between the gateway and its users, generated from `proto/`.
//!
//! [`exproto`] is `emqx.exproto.v1`: the services that a handler written for EMQX's `ExProto` serves and calls.
//! [`stream`] is `exproto.stream.v1`: the ordered stream, which handlers may serve in their place.
//! [`gateway`] is `exproto.gateway.v1`: what the user's own services call.
//! Nothing is written by hand here; the meaning of each field stands in the `.proto` files.

// Generated code keeps to prost's and tonic's style, not to ours.
#![allow(missing_docs, unreachable_pub, clippy::pedantic, clippy::unwrap_used)]

/// `emqx.exproto.v1`: the adapter that the gateway serves, the handler that the user serves.
pub use packages::emqx::exproto::v1 as exproto;
/// `exproto.cluster.v1`: what pods tell each other through Redis.
pub use packages::exproto::cluster::v1 as cluster;
/// `exproto.gateway.v1`: messages for the user's own services.
pub use packages::exproto::gateway::v1 as gateway;
/// `exproto.stream.v1`: many connections on one stream between a gateway pod and a handler.
pub use packages::exproto::stream::v1 as stream;

/// The packages by their own names, by which they refer to each other.
mod packages {
    pub mod emqx {
        pub mod exproto {
            pub mod v1 {
                tonic::include_proto!("emqx.exproto.v1");
            }
        }
    }
    pub mod exproto {
        pub mod cluster {
            pub mod v1 {
                tonic::include_proto!("exproto.cluster.v1");
            }
        }
        pub mod gateway {
            pub mod v1 {
                tonic::include_proto!("exproto.gateway.v1");
            }
        }
        pub mod stream {
            pub mod v1 {
                tonic::include_proto!("exproto.stream.v1");
            }
        }
    }
}

/// The compiled descriptors of every `.proto` file here, for gRPC reflection and for the test that pins the wire.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[cfg(test)]
#[path = "wire.rs"]
mod wire;
