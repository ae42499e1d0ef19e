//! Runs gateways on Kubernetes as resources of kind `ExProtoListener` say.

#![allow(
    clippy::duplicated_attributes,
    reason = "columns of `kubectl get` have the same type"
)]

/// Looking at resources in files.
pub mod check;
/// From a resource to what runs.
pub mod controller;
/// The resource.
pub mod crd;
/// What objects are called.
pub mod names;

pub use crd::{ExProtoListener, Spec};
