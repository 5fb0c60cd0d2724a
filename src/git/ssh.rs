//! Git over ssh: `git-upload-pack` on the server, its input and output over one channel.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use parking_lot::Mutex;
use russh::client::{self, AuthResult, Handle, Msg};
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, Preferred};
use tokio::net::TcpStream;

use super::known_hosts::{self, HostKeyMatch};
use super::tls::CONNECT;
use super::wire::Wire;
use super::{GitError, RemoteUrl, SshAddress};

/// As much of the server's complaints as goes into a message.
const MAX_WORDS: usize = 2000;

/// libgit2's transport over one wire.
pub(super) struct SshTransport {
    wire: Arc<Wire>,
}

impl SshTransport {
    pub fn new(wire: Arc<Wire>) -> Self {
        Self { wire }
    }

    fn open(&self) -> Result<Session, GitError> {
        let wire = &self.wire;
        let RemoteUrl::Ssh(address) = wire.url.clone() else {
            return Err(GitError::BadUrl {
                url: wire.url.to_string(),
                detail: "it is no ssh URL".into(),
            });
        };
        let key = identity(wire)?;
        let client = wire.wait(connect(wire, &address))?;
        let (client, channel) = wire.wait(start(wire, &address, client, key))?;
        Ok(Session {
            wire: Arc::clone(wire),
            _client: client,
            channel,
            chunk: Bytes::new(),
            heard: false,
            complaints: Vec::new(),
            ended: false,
        })
    }
}

impl SmartSubtransport for SshTransport {
    fn action(
        &self,
        _url: &str,
        action: Service,
    ) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        match action {
            Service::UploadPackLs => match self.open() {
                Ok(session) => Ok(Box::new(session)),
                Err(error) => Err(self.wire.fail(error)),
            },
            // libgit2 goes on with the stream of UploadPackLs.
            _ => Err(git2::Error::from_str(
                "only fetching is done over this transport",
            )),
        }
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// The private key, out of the credentials.
fn identity(wire: &Wire) -> Result<PrivateKey, GitError> {
    let bad = |detail: String| GitError::BadCredentials {
        url: wire.url.to_string(),
        detail,
    };
    let Some(pem) = &wire.credentials.identity else {
        return Err(bad(
            "ssh needs a private key; give it as identity by secretRef".into(),
        ));
    };
    let passphrase = wire.credentials.passphrase.as_deref();
    russh::keys::decode_secret_key(pem, passphrase).map_err(|error| match error {
        russh::keys::Error::KeyIsEncrypted => {
            bad("identity is encrypted; give its passphrase too".into())
        }
        error if passphrase.is_some() => {
            bad(format!("identity cannot be opened, perhaps the passphrase is wrong: {error}"))
        }
        error => bad(format!(
            "identity is not a private key ({error}); it begins with -----BEGIN OPENSSH PRIVATE KEY-----"
        )),
    })
}

/// Checks the host key, and keeps the reason for refusing it.
struct Guard {
    address: SshAddress,
    known_hosts: String,
    refused: Arc<Mutex<Option<GitError>>>,
}

impl client::Handler for Guard {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            return Ok(false);
        };
        let host = self.address.known_hosts_name();
        let print = key.fingerprint(HashAlg::Sha256);
        let kind = key.algorithm();
        let detail = match known_hosts::judge(&self.known_hosts, &host, key) {
            HostKeyMatch::Known => return Ok(true),
            HostKeyMatch::Unknown => format!(
                "knownHosts has no line for it, and it showed the {kind} key {print}; compare that \
                 with what the server's owner says, then add the line that `ssh-keyscan -p {} {}` prints",
                self.address.port, self.address.host
            ),
            HostKeyMatch::Changed { line } => format!(
                "IT HAS CHANGED: line {line} of knownHosts has another key than the {kind} key {print} that \
                 it showed; somebody may be listening in, or the server was set up anew: ask its owner, \
                 then replace the line"
            ),
            HostKeyMatch::Revoked { line } => format!(
                "line {line} of knownHosts revokes the {kind} key {print} that it showed; ask its owner"
            ),
        };
        *self.refused.lock() = Some(GitError::HostKey { host, detail });
        Ok(false)
    }
}

async fn connect(wire: &Wire, address: &SshAddress) -> Result<Handle<Guard>, GitError> {
    let unreachable = |detail: String| GitError::Unreachable {
        url: wire.url.to_string(),
        detail,
    };
    let place = (address.host.as_str(), address.port);
    let stream = tokio::time::timeout(CONNECT, TcpStream::connect(place))
        .await
        .map_err(|_| unreachable(format!("no connection within {} s", CONNECT.as_secs())))?
        .map_err(|error| unreachable(format!("{}:{}: {error}", address.host, address.port)))?;
    let refused = Arc::new(Mutex::new(None));
    let known_hosts = wire.credentials.known_hosts.clone().unwrap_or_default();
    let config = client::Config {
        preferred: preferred(&known_hosts, &address.known_hosts_name()),
        keepalive_interval: Some(Duration::from_secs(15)),
        nodelay: true,
        ..client::Config::default()
    };
    let guard = Guard {
        address: address.clone(),
        known_hosts,
        refused: Arc::clone(&refused),
    };
    let connected = client::connect_stream(Arc::new(config), stream, guard).await;
    connected.map_err(|error| {
        let said = refused.lock().take();
        said.unwrap_or_else(|| unreachable(format!("the ssh connection failed: {error}")))
    })
}

/// The kinds of host key that known_hosts has come first.
fn preferred(known_hosts: &str, host: &str) -> Preferred {
    let defaults = Preferred::default();
    let known = known_hosts::algorithms(known_hosts, host);
    let is_known = |algorithm: &Algorithm| {
        known.iter().any(|known| {
            known == algorithm
                || matches!(
                    (known, algorithm),
                    (Algorithm::Rsa { .. }, Algorithm::Rsa { .. })
                )
        })
    };
    let (first, rest): (Vec<Algorithm>, Vec<Algorithm>) =
        defaults.key.iter().cloned().partition(is_known);
    Preferred {
        key: Cow::Owned([first, rest].concat()),
        ..defaults
    }
}

/// Logs in and starts `git-upload-pack`.
async fn start(
    wire: &Wire,
    address: &SshAddress,
    mut client: Handle<Guard>,
    key: PrivateKey,
) -> Result<(Handle<Guard>, Channel<Msg>), GitError> {
    let broken = |error: russh::Error| GitError::Unreachable {
        url: wire.url.to_string(),
        detail: format!("the ssh connection broke off: {error}"),
    };
    let hash = if key.algorithm().is_rsa() {
        client
            .best_supported_rsa_hash()
            .await
            .map_err(broken)?
            .flatten()
    } else {
        None
    };
    let print = key.public_key().fingerprint(HashAlg::Sha256);
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
    let user = address.user.clone();
    let answer = client
        .authenticate_publickey(user, key)
        .await
        .map_err(broken)?;
    if !matches!(answer, AuthResult::Success) {
        return Err(GitError::AuthFailed {
            url: wire.url.to_string(),
            detail: format!(
                "it does not take the key {print} for the user \"{}\"; add the public key there \
                 (a deploy key with read access will do)",
                address.user
            ),
        });
    }
    let channel = client.channel_open_session().await.map_err(broken)?;
    let command = format!("git-upload-pack {}", quoted(&address.path));
    channel.exec(true, command).await.map_err(broken)?;
    Ok((client, channel))
}

/// For the server's shell, as git quotes it.
fn quoted(path: &str) -> String {
    let mut text = String::from("'");
    for c in path.chars() {
        match c {
            '\'' | '!' => text.extend(["'\\", c.encode_utf8(&mut [0; 4]), "'"]),
            c => text.push(c),
        }
    }
    text.push('\'');
    text
}

/// A running `git-upload-pack`.
struct Session {
    wire: Arc<Wire>,
    /// The connection lives as long as its handle.
    _client: Handle<Guard>,
    channel: Channel<Msg>,
    chunk: Bytes,
    /// Whether it has said anything yet.
    heard: bool,
    /// What it wrote to its standard error.
    complaints: Vec<u8>,
    ended: bool,
}

impl Session {
    /// The next piece of output; `None` at its end.
    fn next(&mut self) -> Result<Option<Bytes>, GitError> {
        let url = self.wire.url.to_string();
        while !self.ended {
            let channel = &mut self.channel;
            match self.wire.wait(async { Ok(channel.wait().await) })? {
                Some(ChannelMsg::Data { data }) => {
                    self.heard = true;
                    return Ok(Some(data));
                }
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    let room = MAX_WORDS.saturating_sub(self.complaints.len());
                    self.complaints.extend(data.iter().take(room));
                }
                Some(ChannelMsg::Failure) => {
                    return Err(GitError::NotGit {
                        url,
                        detail: "the server refuses to run git-upload-pack".into(),
                    });
                }
                Some(ChannelMsg::Close) | None => self.ended = true,
                // What it complains about can come after the end of its output.
                Some(_) => {}
            }
        }
        if self.heard {
            return Ok(None);
        }
        Err(complaint(url, &String::from_utf8_lossy(&self.complaints)))
    }
}

/// A server that ends without a word of Git has said why in its own.
fn complaint(url: String, words: &str) -> GitError {
    let lower = words.to_lowercase();
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let has = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    if has(&[
        "not found",
        "does not appear to be a git repository",
        "does not exist",
        "could not be found",
        "no such file",
        "not a git repository",
    ]) {
        let detail =
            format!("the server says \"{words}\"; check the path, and that the key may read it");
        return GitError::NotFound { url, detail };
    }
    if has(&["denied", "permission", "not authorized", "access rights"]) {
        let detail = format!("the server says \"{words}\"; give the key read access");
        return GitError::AuthFailed { url, detail };
    }
    let detail = match words.is_empty() {
        true => "the connection ended without a word".to_owned(),
        false => format!("the server says \"{words}\""),
    };
    GitError::NotGit { url, detail }
}

impl Read for Session {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            let next = self.next();
            match next.map_err(|error| self.wire.fail_io(error))? {
                Some(data) => self.chunk = data,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.chunk.len());
        let now = self.chunk.split_to(length);
        let (target, _) = buffer.split_at_mut(length);
        target.copy_from_slice(&now);
        Ok(length)
    }
}

impl Write for Session {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let url = self.wire.url.to_string();
        let channel = &self.channel;
        let data = Bytes::copy_from_slice(bytes);
        let sent = self.wire.wait(async {
            let sent = channel.data_bytes(data).await;
            sent.map_err(|error| GitError::Unreachable {
                url,
                detail: format!("the ssh connection broke off: {error}"),
            })
        });
        sent.map_err(|error| self.wire.fail_io(error))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_to_the_servers_shell() {
        assert_eq!(quoted("/srv/shop.git"), "'/srv/shop.git'");
        assert_eq!(quoted("it's; rm -rf !"), r"'it'\''s; rm -rf '\!''");
    }

    #[test]
    fn a_servers_own_words_are_understood() {
        let kind = |words: &str| complaint("u".into(), words).reason();
        assert_eq!(kind("ERROR: Repository not found."), "RepositoryNotFound");
        assert_eq!(
            kind("fatal: '/x' does not appear to be a git repository"),
            "RepositoryNotFound"
        );
        assert_eq!(kind("remote: Permission denied"), "AuthenticationFailed");
        assert_eq!(kind("This account is disabled"), "NotAGitServer");
    }
}
