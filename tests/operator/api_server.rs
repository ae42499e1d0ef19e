//! Tests with a real API server, which they start themselves.

/// The definition of the resource.
mod definition;
/// The objects of a resource.
mod objects;

use exproto_operator::crd;
use exproto_tests::Kubernetes;

/// An API server that knows the resource.
fn kubernetes() -> Kubernetes {
    let kubernetes = Kubernetes::start();
    let definition = serde_json::to_string(crd::definition()).expect("it can be written");
    let said = kubernetes.apply(&definition, &[]).expect("it is taken");
    assert!(!said.contains("Warning"), "{said}");
    kubernetes.serves("/apis/exproto.dev/v1alpha1/exprotolisteners");
    kubernetes
}
