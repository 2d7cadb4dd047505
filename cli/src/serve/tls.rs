//! TLS towards clients, with a certificate that is made up, and towards upstreams and clusters.

use crate::output::{Failure, Result, progress, write_private};
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_rustls::TlsAcceptor;

/// How long a made-up certificate is valid. Clients of Apple refuse certificates that are valid for
/// more than 398 days.
const VALID: Duration = Duration::from_secs(390 * 24 * 60 * 60);

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Accepts connections with the certificate of a file. Without a file, or if the file does not
/// exist, a certificate is made up.
///
/// # Errors
/// Fails if the file has no certificate or no key that fits it, or cannot be written.
pub(super) fn acceptor(file: Option<&Path>, listen: IpAddr) -> Result<TlsAcceptor> {
    let pem = match file {
        Some(file) if file.exists() => {
            std::fs::read_to_string(file).map_err(|error| Failure::work(format!("{}: {error}", file.display())))?
        }
        Some(file) => {
            let pem = made_up(listen)?;
            write_private(file, &pem)?;
            progress("Wrote", format!("{}: a certificate and its key", file.display()));
            pem
        }
        None => made_up(listen)?,
    };
    let place = file.map_or_else(|| "the certificate".to_owned(), |file| file.display().to_string());
    let failed = |why: &dyn std::fmt::Display| Failure::check(format!("{place}: {why}"));
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<std::result::Result<_, _>>()
        .map_err(|why| failed(&why))?;
    if chain.is_empty() {
        return Err(failed(&"there is no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|why| failed(&format!("there is no private key in it: {why}")))?;
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config = config.map_err(|why| failed(&why))?.with_no_client_auth().with_single_cert(chain, key);
    let mut config = config.map_err(|why| failed(&why))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A certificate for this machine that it has signed itself, and its key.
fn made_up(listen: IpAddr) -> Result<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !listen.is_unspecified() && !listen.is_loopback() {
        names.push(listen.to_string());
    }
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name.push(DnType::CommonName, "proxy-filter serve");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let day = Duration::from_secs(24 * 60 * 60);
    // The clock of a client may be behind.
    parameters.not_before = date_time_ymd(1970, 1, 1) + now.saturating_sub(day);
    parameters.not_after = date_time_ymd(1970, 1, 1) + now + VALID;
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
}

/// How this server trusts others: with the roots of the system, or those of the file that the
/// environment variable `SSL_CERT_FILE` names. They are read only if they are needed.
///
/// # Errors
/// Fails if no root can be read.
pub(super) fn client(needed: bool) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if needed {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
            return Err(Failure::work(format!("the system has no root certificates: {}", why.join(", "))));
        }
    }
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
