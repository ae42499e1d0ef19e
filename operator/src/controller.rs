//! From a resource to what runs: `dereference → validate → build → apply → status`.

/// From what is valid to the objects of Kubernetes.
pub mod build;
/// From what is written to what is valid.
pub mod validate;
