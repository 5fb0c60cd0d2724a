//! An SSH server in this process (russh) that runs `git-upload-pack` for one key.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;

use russh::keys::{Algorithm, PrivateKey, PublicKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handle, Handler, Msg, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

pub struct Sshd {
    pub port: u16,
    pub host_key: PublicKey,
    _runtime: Runtime,
}

/// A new key, as the OpenSSH text and its public half.
pub fn key_pair() -> (String, PublicKey) {
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let text = key.to_openssh(Default::default()).unwrap().to_string();
    (text, key.public_key().clone())
}

impl Sshd {
    /// Lets in whoever has `guest`, as `git`.
    pub fn start(guest: PublicKey) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(TcpListener::bind(("127.0.0.1", 0)))
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        let host = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let host_key = host.public_key().clone();
        let config = Arc::new(Config {
            keys: vec![host],
            auth_rejection_time: std::time::Duration::ZERO,
            auth_rejection_time_initial: Some(std::time::Duration::ZERO),
            ..Config::default()
        });
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let guest = Guest {
                    key: guest.clone(),
                    inputs: HashMap::new(),
                };
                let config = Arc::clone(&config);
                tokio::spawn(async move {
                    if let Ok(session) = russh::server::run_stream(config, stream, guest).await {
                        let _ = session.await;
                    }
                });
            }
        });
        Self {
            port,
            host_key,
            _runtime: runtime,
        }
    }

    /// The line that `ssh-keyscan` would print.
    pub fn known_hosts(&self) -> String {
        let key = self.host_key.to_openssh().unwrap();
        format!("[localhost]:{} {key}\n", self.port)
    }
}

struct Guest {
    key: PublicKey,
    inputs: HashMap<ChannelId, mpsc::Sender<Vec<u8>>>,
}

impl Handler for Guest {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        if user == "git" && key.public_key.key_data() == self.key.key_data() {
            Ok(Auth::Accept)
        } else {
            Ok(Auth::reject())
        }
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let command = String::from_utf8_lossy(command).into_owned();
        let (sender, receiver) = mpsc::channel(16);
        self.inputs.insert(channel, sender);
        session.channel_success(channel)?;
        tokio::spawn(run(command, channel, session.handle(), receiver));
        Ok(())
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(input) = self.inputs.get(&channel) {
            let _ = input.send(data.to_vec()).await;
        }
        Ok(())
    }

    async fn channel_eof(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.inputs.remove(&channel);
        Ok(())
    }
}

async fn run(
    command: String,
    channel: ChannelId,
    handle: Handle,
    mut input: mpsc::Receiver<Vec<u8>>,
) {
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(command)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writing = tokio::spawn(async move {
        while let Some(data) = input.recv().await {
            if stdin.write_all(&data).await.is_err() {
                break;
            }
        }
    });
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    tokio::join!(
        pump(stdout, &handle, channel, None),
        pump(stderr, &handle, channel, Some(1))
    );
    let status = child.wait().await.unwrap().code().unwrap_or(255);
    let _ = handle.exit_status_request(channel, status as u32).await;
    let _ = handle.eof(channel).await;
    let _ = handle.close(channel).await;
    writing.abort();
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    handle: &Handle,
    channel: ChannelId,
    ext: Option<u32>,
) {
    let mut buffer = vec![0; 32 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let data = buffer[..length].to_vec();
        let sent = match ext {
            Some(ext) => handle.extended_data(channel, ext, data).await,
            None => handle.data(channel, data).await,
        };
        if sent.is_err() {
            break;
        }
    }
}
