//! As whom pods run: as nobody who may ask the API server for anything.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata;
use crate::controller::validate::Validated;

pub(super) fn build(valid: &Validated) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(valid, valid.names.base()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
