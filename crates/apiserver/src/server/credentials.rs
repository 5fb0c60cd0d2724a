//! What clients and the server know each other by: an authority of our own, whose certificates the
//! server shows, and the token that lets in. Kept in the data directory, so that a kubeconfig
//! stays valid.

use std::hint::black_box;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::private;

/// A token with fewer characters is no secret.
const SHORTEST: usize = 32;

/// What the server is known by is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A certificate cannot be made.
    #[error("cannot make the API server's certificate: {0}")]
    Certificate(String),
    /// A credential cannot be kept or read.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file holds something else than what belongs there.
    #[error("{path} {what}; {remedy}")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl From<rcgen::Error> for CredentialsError {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error.to_string())
    }
}

/// The secret that lets a client in: never empty, never short.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    fn make() -> Self {
        Self(format!(
            "{}{}",
            uuid::Uuid::new_v4().simple(),
            uuid::Uuid::new_v4().simple()
        ))
    }

    /// A token as a file has it; `None` where it has nothing, which a full disk or a crash leaves.
    fn read(text: &str) -> Result<Option<Self>, String> {
        let text = text.trim();
        let letters = text.chars().count();
        if text.is_empty() {
            Ok(None)
        } else if !text.chars().all(|c| c.is_ascii_graphic()) {
            Err("has characters that no header of a request can carry".to_owned())
        } else if letters < SHORTEST {
            Err(format!(
                "holds a token of {letters} characters, and at least {SHORTEST} are needed"
            ))
        } else {
            Ok(Some(Self(text.to_owned())))
        }
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the value of an `Authorization` header is this token's. What is compared takes as
    /// long wherever the difference is.
    pub fn is_in(&self, header: &[u8]) -> bool {
        let Some(given) = header.strip_prefix(b"Bearer ") else {
            return false;
        };
        let expected = self.0.as_bytes();
        let differences = given.iter().zip(expected).fold(0, |found, (a, b)| {
            // Kept from the optimiser, which might end the loop at the first one.
            black_box(found | (a ^ b))
        });
        !expected.is_empty() && given.len() == expected.len() && differences == 0
    }
}

/// The authority and the token.
pub struct Credentials {
    /// The authority's certificate, which clients are to trust.
    pub ca_pem: String,
    ca_key_pem: String,
    /// The token that clients are to send.
    pub token: Token,
}

impl Credentials {
    /// Reads what is kept, and makes what is missing or empty.
    pub fn load_or_make(dir: Option<&Path>, now: Timestamp) -> Result<Self, CredentialsError> {
        let Some(dir) = dir else {
            let (ca_pem, ca_key_pem) = make_authority(now)?;
            let token = Token::make();
            return Ok(Self {
                ca_pem,
                ca_key_pem,
                token,
            });
        };
        let (ca_pem, ca_key_pem) = authority(&dir.join("ca.crt"), &dir.join("ca.key"), now)?;
        let token = token(&dir.join("token"))?;
        Ok(Self {
            ca_pem,
            ca_key_pem,
            token,
        })
    }

    /// A server certificate for an address, good for this run.
    pub fn acceptor(&self, address: SocketAddr) -> Result<TlsAcceptor, CredentialsError> {
        // The issuer is told apart by its name and key alone, and both are as they were.
        let issuer = Issuer::new(ca(), KeyPair::from_pem(&self.ca_key_pem)?);
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(
            [
                "localhost",
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
            ]
            .map(str::to_owned),
        )?;
        params.distinguished_name = named("sluice-local-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for ip in [
            address.ip(),
            std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::Ipv6Addr::LOCALHOST.into(),
        ] {
            params.subject_alt_names.push(SanType::IpAddress(ip));
        }
        valid_around(&mut params, Timestamp::now());
        let certificate = params.signed_by(&key, &issuer)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| CredentialsError::Certificate(error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .map_err(|error| CredentialsError::Certificate(error.to_string()))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn ca() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("sluice-local-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// From a year ago, for clocks that disagree, to ten years from now.
fn valid_around(params: &mut CertificateParams, now: Timestamp) {
    let year = |at: Timestamp| i32::from(at.to_zoned(jiff::tz::TimeZone::UTC).year());
    params.not_before = rcgen::date_time_ymd(year(now) - 1, 1, 1);
    params.not_after = rcgen::date_time_ymd(year(now) + 10, 1, 1);
}

/// The authority's certificate and key. Where one of them is missing or empty, the other is of no
/// use, and both are made anew.
fn authority(
    certificate: &Path,
    key: &Path,
    now: Timestamp,
) -> Result<(String, String), CredentialsError> {
    const REMEDY: &str = "put the right one back, or delete it: a new authority is made then, and every kubeconfig has to be written anew";
    let unfit = |path: &Path, what: &str| CredentialsError::Unfit {
        path: path.to_owned(),
        what: what.to_owned(),
        remedy: REMEDY,
    };
    if let (Some(ca_pem), Some(key_pem)) = (kept(certificate)?, kept(key)?) {
        CertificateDer::from_pem_slice(ca_pem.as_bytes())
            .map_err(|_| unfit(certificate, "holds no certificate"))?;
        KeyPair::from_pem(&key_pem).map_err(|_| unfit(key, "holds no key"))?;
        return Ok((ca_pem, key_pem));
    }
    let (ca_pem, key_pem) = make_authority(now)?;
    keep(key, &key_pem)?;
    keep(certificate, &ca_pem)?;
    Ok((ca_pem, key_pem))
}

fn make_authority(now: Timestamp) -> Result<(String, String), CredentialsError> {
    let key = KeyPair::generate()?;
    let mut params = ca();
    valid_around(&mut params, now);
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// The token of a file. An empty one names nobody's secret, so that a new one takes its place; a
/// short one somebody has written, and is told.
fn token(path: &Path) -> Result<Token, CredentialsError> {
    let unfit = |what| CredentialsError::Unfit {
        path: path.to_owned(),
        what,
        remedy: "write a longer one, or delete the file: a new one is made then",
    };
    if let Some(text) = kept(path)?
        && let Some(token) = Token::read(&text).map_err(unfit)?
    {
        return Ok(token);
    }
    if path.exists() {
        tracing::warn!("{} was empty: a new token is in it", path.display());
    }
    let made = Token::make();
    keep(path, made.as_str())?;
    Ok(made)
}

/// What a file holds; `None` where it is missing or empty.
fn kept(path: &Path) -> Result<Option<String>, CredentialsError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CredentialsError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

fn keep(path: &Path, content: &str) -> Result<(), CredentialsError> {
    private::write(path, content.as_bytes()).map_err(|source| CredentialsError::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(dir: &Path) -> Result<Credentials, CredentialsError> {
        Credentials::load_or_make(Some(dir), Timestamp::UNIX_EPOCH)
    }

    fn at(name: &str) -> (tempfile::TempDir, PathBuf, Credentials) {
        let dir = tempfile::tempdir().unwrap();
        let made = load(dir.path()).unwrap();
        let file = dir.path().join(name);
        (dir, file, made)
    }

    #[test]
    fn a_token_of_nothing_is_replaced_and_the_authority_stays() {
        for empty in ["", " \n\t", "\n"] {
            let (dir, file, made) = at("token");
            std::fs::write(&file, empty).unwrap();
            let again = load(dir.path()).unwrap();
            assert_eq!(again.ca_pem, made.ca_pem);
            assert_ne!(again.token.as_str(), made.token.as_str());
            assert!(again.token.as_str().len() >= SHORTEST);
            let next = load(dir.path()).unwrap();
            assert_eq!(next.token.as_str(), again.token.as_str(), "it is kept");
        }
        let (dir, file, made) = at("token");
        std::fs::remove_file(file).unwrap();
        let again = load(dir.path()).unwrap();
        assert_eq!(again.ca_pem, made.ca_pem);
        assert_ne!(again.token.as_str(), made.token.as_str());
    }

    #[test]
    fn an_authority_of_nothing_is_made_anew_as_a_whole() {
        for name in ["ca.crt", "ca.key"] {
            let (dir, file, made) = at(name);
            std::fs::write(file, "").unwrap();
            let again = load(dir.path()).unwrap();
            assert_ne!(again.ca_pem, made.ca_pem);
            again.acceptor("127.0.0.1:0".parse().unwrap()).unwrap();
            assert_eq!(again.token.as_str(), made.token.as_str());
        }
    }

    #[test]
    fn what_somebody_wrote_is_refused_and_left() {
        let long = format!("{}\u{e9}", "x".repeat(SHORTEST));
        let spaced = format!("{} {}", "x".repeat(SHORTEST), "y");
        for (name, text, words) in [
            ("token", "secret", "6 characters, and at least 32"),
            ("token", &long, "no header of a request can carry"),
            ("token", &spaced, "no header of a request can carry"),
            ("ca.crt", "x", "holds no certificate"),
            ("ca.key", "x", "holds no key"),
        ] {
            let (dir, file, _) = at(name);
            std::fs::write(&file, text).unwrap();
            let Err(error) = load(dir.path()) else {
                panic!("{name} {text:?} was accepted");
            };
            let error = error.to_string();
            assert!(error.contains(words) && error.contains(name), "{error}");
            assert!(error.contains("delete"), "what to do: {error}");
            assert_eq!(std::fs::read_to_string(file).unwrap(), text);
        }
        let (dir, file, made) = at("token");
        std::fs::write(&file, format!("{}\n", made.token.as_str())).unwrap();
        assert_eq!(
            load(dir.path()).unwrap().token.as_str(),
            made.token.as_str()
        );
    }

    #[test]
    fn only_the_whole_token_lets_in() {
        let token = Token::make();
        let text = token.as_str().to_owned();
        assert!(token.is_in(format!("Bearer {text}").as_bytes()));
        let (start, other) = (&text[..text.len() - 1], text.replace(&text[..1], "x"));
        for header in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer  ",
            &text,
            &format!("Bearer {start}"),
            &format!("Bearer {text}x"),
            &format!("Bearer  {text}"),
            &format!("Bearer {other}"),
            &format!("Basic {text}"),
        ] {
            assert!(!token.is_in(header.as_bytes()), "{header:?}");
        }
        let nothing = Token(String::new());
        for header in ["Bearer ", "Bearer", ""] {
            assert!(!nothing.is_in(header.as_bytes()), "{header:?}");
        }
    }
}
