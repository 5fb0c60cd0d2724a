//! Whose certificates are believed where an agent asks over https: the public roots, and those that it was given.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// A bundle of certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no bundle.
    #[error("{}: {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// TLS cannot be set up at all.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// Whose certificates are believed.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// The public roots alone.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn public() -> Result<Self, TrustError> {
        Self::of(public_roots())
    }

    /// The public roots, and the certificates of a PEM file.
    ///
    /// # Errors
    /// When the file has none, or one that is none.
    pub fn with_file(path: &Path) -> Result<Self, TrustError> {
        let bundle = std::fs::read(path).map_err(|source| TrustError::Unread {
            path: path.to_owned(),
            source,
        })?;
        let unusable = |why: String| TrustError::Unusable {
            path: path.to_owned(),
            why,
        };
        let mut roots = public_roots();
        let public = roots.len();
        for certificate in CertificateDer::pem_slice_iter(&bundle) {
            let certificate = certificate.map_err(|error| unusable(format!("not PEM: {error}")))?;
            roots
                .add(certificate)
                .map_err(|error| unusable(format!("it has a certificate that is none: {error}")))?;
        }
        if roots.len() == public {
            return Err(unusable(
                "it has no certificate: it wants PEM, beginning with -----BEGIN CERTIFICATE-----"
                    .to_owned(),
            ));
        }
        Self::of(roots)
    }

    fn of(roots: RootCertStore) -> Result<Self, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn config(&self) -> ClientConfig {
        ClientConfig::clone(&self.0)
    }
}

fn public_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_that_cannot_be_used_is_named_with_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.crt");
        let says = || Trust::with_file(&path).err().unwrap().to_string();
        assert!(says().contains("ca.crt: No such file"), "{}", says());
        std::fs::write(&path, "no certificate").unwrap();
        assert!(says().contains("it has no certificate"), "{}", says());
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, broken).unwrap();
        assert!(says().contains("a certificate that is none"), "{}", says());
    }
}
