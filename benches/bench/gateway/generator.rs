//! The load generator: connections that are kept alive, each asking again as soon as it is
//! answered, or at its share of a fixed rate.
//!
//! It runs as a process of its own (`bench load ...`) on one thread, so that its work is not
//! counted as anybody else's.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// One round.
#[derive(Clone, Debug, clap::Args)]
pub struct Load {
    /// Whom to ask
    #[arg(long)]
    pub address: SocketAddr,
    /// The Host header
    #[arg(long)]
    pub host: String,
    /// Connections
    #[arg(long)]
    pub connections: usize,
    /// For how long
    #[arg(long)]
    pub seconds: u64,
    /// Requests a second over all connections; as fast as it goes when absent
    #[arg(long)]
    pub rate: Option<u32>,
}

/// What a round came to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Seen {
    /// Answered requests a second.
    pub rate: f64,
    /// Median time to the last byte.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Requests that were not answered by 200.
    pub failed: u64,
}

impl Load {
    /// Has this program carry the round out in a process of its own.
    pub async fn in_a_process(&self) -> anyhow::Result<Seen> {
        let mut command = tokio::process::Command::new(std::env::current_exe()?);
        command.args([
            "load",
            "--address",
            &self.address.to_string(),
            "--host",
            &self.host,
            "--connections",
            &self.connections.to_string(),
            "--seconds",
            &self.seconds.to_string(),
        ]);
        if let Some(rate) = self.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        let out = command
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output()
            .await?;
        serde_json::from_slice(&out.stdout).context("the load generator said nothing of use")
    }

    /// Carries the round out here, and prints what came of it.
    pub fn run(&self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let seen = runtime.block_on(self.carry_out())?;
        println!("{}", serde_json::to_string(&seen)?);
        Ok(())
    }

    async fn carry_out(&self) -> anyhow::Result<Seen> {
        let begun = Instant::now();
        let until = begun + Duration::from_secs(self.seconds);
        let mut users = JoinSet::new();
        for number in 0..self.connections {
            let pace = self.rate.map(|rate| {
                let each = Duration::from_secs(1) * u32::try_from(self.connections).unwrap_or(1)
                    / rate.max(1);
                // Spread over the interval, so that they do not ask all at once.
                (each, each.mul_f64(number as f64 / self.connections as f64))
            });
            users.spawn(user(self.address, self.host.clone(), until, pace));
        }
        let (mut times, mut failed) = (Vec::new(), 0);
        while let Some(user) = users.join_next().await {
            let (mine, bad) = user??;
            times.extend(mine);
            failed += bad;
        }
        let took = begun.elapsed();
        times.sort_unstable();
        let at = |share: f64| {
            let index = ((times.len().saturating_sub(1)) as f64 * share) as usize;
            times
                .get(index)
                .map_or(0.0, |time| time.as_secs_f64() * 1000.0)
        };
        Ok(Seen {
            rate: times.len() as f64 / took.as_secs_f64(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            failed,
        })
    }
}

/// One connection's requests until the time is over: their times, and how many failed.
async fn user(
    address: SocketAddr,
    host: String,
    until: Instant,
    pace: Option<(Duration, Duration)>,
) -> anyhow::Result<(Vec<Duration>, u64)> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await?;
    let asking = async move {
        let (mut times, mut failed) = (Vec::new(), 0);
        let mut tick = pace.map(|(each, phase)| {
            tokio::time::interval_at(tokio::time::Instant::now() + phase, each)
        });
        while Instant::now() < until {
            if let Some(tick) = &mut tick {
                tick.tick().await;
            }
            let request = http::Request::get("/")
                .header(http::header::HOST, &host)
                .body(Empty::new())?;
            let begun = Instant::now();
            sender.ready().await?;
            let answer = sender.send_request(request).await?;
            failed += u64::from(answer.status() != http::StatusCode::OK);
            answer.into_body().collect().await?;
            times.push(begun.elapsed());
        }
        anyhow::Ok((times, failed))
    };
    // Neither is a task of its own: they take turns on one thread anyhow.
    tokio::select! {
        done = asking => done,
        ended = connection => {
            ended?;
            anyhow::bail!("the connection ended early")
        }
    }
}
