//! The wire between an agent and its API server, with a knife beside it.

use std::net::SocketAddr;
use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A relay to the API server of a kubeconfig.
pub struct Relay {
    address: SocketAddr,
    whole: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Relay {
    /// A wire that is whole, and a client over it: TLS and token as the kubeconfig says.
    pub async fn of(kubeconfig: &Path) -> (Self, kube::Client) {
        let file = Kubeconfig::read_from(kubeconfig).unwrap();
        let options = KubeConfigOptions::default();
        let mut config = kube::Config::from_custom_kubeconfig(file, &options)
            .await
            .unwrap();
        let authority = config.cluster_url.authority().unwrap().clone();
        let relay = Self::to(authority.as_str().parse().unwrap()).await;
        config.tls_server_name = Some(authority.host().to_owned());
        config.cluster_url = format!("https://{}", relay.address).parse().unwrap();
        (relay, kube::Client::try_from(config).unwrap())
    }

    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (whole, seen) = watch::channel(true);
        let task = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                // Cut: nobody answers, and the connection is gone at once.
                if *seen.borrow() {
                    tokio::spawn(carry(near, server, seen.clone()));
                }
            }
        });
        Self {
            address,
            whole,
            task,
        }
    }

    /// Cuts every connection, and those to come.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// The wire is whole again.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut near: TcpStream, server: SocketAddr, mut whole: watch::Receiver<bool>) {
    let mut far = TcpStream::connect(server).await.unwrap();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        _ = whole.wait_for(|whole| !*whole) => {}
    }
}
