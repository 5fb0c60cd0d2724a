//! After `101 Switching Protocols`: bytes both ways until a side closes. The place at
//! the instance is held all the while, so that nothing scales it away.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio_util::sync::CancellationToken;

use super::{h1::H1Connection, request_guard::RequestGuard};

/// Runs the tunnel to its end; the request is counted then. Revision timeouts do not
/// apply, as they do not in Knative once a connection is taken over.
pub async fn run(
    client: OnUpgrade,
    connection: Box<H1Connection>,
    mut exchange: RequestGuard,
    cancel: CancellationToken,
) {
    let pass = async {
        let mut client = TokioIo::new(client.await.map_err(std::io::Error::other)?);
        let (mut instance, ahead) = connection
            .into_stream()
            .ok_or_else(|| std::io::Error::other("the connection has ended"))?;
        client.write_all(&ahead).await?;
        copy_bidirectional(&mut client, &mut instance).await
    };
    let ended = tokio::select! {
        ended = pass => ended.map(drop),
        () = cancel.cancelled() => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!(revision = %exchange.backend().key, %error, "tunnel broke");
    }
    exchange.complete();
}
