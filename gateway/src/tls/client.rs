//! TLS towards others, where the gateway is the client: whom it trusts, and what it shows.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::CryptoProvider,
    sign::SingleCertAndKey,
};
use rustls_platform_verifier::Verifier;

use super::{Error, certificate, pem, shown};

/// Trusts the authorities in `ca_file`, or those of the system, and shows the certificate to whoever asks for one.
/// Also tells what of it is out of its time. Blocks for as long as the files take to read.
///
/// # Errors
/// The first file that cannot be used, and why.
pub(crate) fn config(
    ca_file: Option<&Path>,
    certificate: Option<&config::Certificate>,
) -> Result<(ClientConfig, Vec<Error>), Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = verifier(ca_file, provider.clone())?;
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(Error::Rustls)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let Some(files) = certificate else {
        return Ok((builder.with_no_client_auth(), Vec::new()));
    };
    let chain = pem::certificates(&files.chain)?;
    let expired = certificate::out_of_time(&chain[0]);
    let expired = expired.map(|when| Error::OutOfTime {
        path: files.chain.clone(),
        kind: "certificate",
        when,
    });
    let certified = shown::certified(chain, files, &provider)?;
    let shown = Arc::new(SingleCertAndKey::from(certified));
    let config = builder.with_client_cert_resolver(shown);
    Ok((config, expired.into_iter().collect()))
}

/// For addresses without TLS: trusts nobody, and looks for no authorities.
pub(crate) fn nobody() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has ciphers for all versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}

fn verifier(
    ca_file: Option<&Path>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let Some(path) = ca_file else {
        let system = Verifier::new(provider).map_err(Error::Roots)?;
        return Ok(Arc::new(system));
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(pem::certificates(path)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
    let verifier = verifier.build().map_err(|error| Error::Unusable {
        path: path.into(),
        kind: "certificate",
        problem: error.to_string(),
    })?;
    Ok(verifier)
}
