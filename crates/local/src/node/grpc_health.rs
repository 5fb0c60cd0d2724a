//! The question of a gRPC probe, `grpc.health.v1.Health/Check`, in the few bytes that it
//! takes. Messages are a kubelet's (`pkg/probe/grpc`).

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::lifecycle::status::ADDRESS;

/// Where gRPC puts the health service.
pub const PATH: &str = "/grpc.health.v1.Health/Check";

/// `UNIMPLEMENTED`: the server speaks gRPC but has no health service.
const UNIMPLEMENTED: &str = "12";

/// Why a gRPC probe failed.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// Nobody takes a connection there.
    #[error("error: failed to connect service at \"{}:{port}\": {}", ADDRESS, refusal(.source))]
    Connect {
        /// Where.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// Who does speaks no HTTP/2.
    #[error("error: failed to connect service at \"{}:{port}\": {source}", ADDRESS)]
    Handshake {
        /// Where.
        port: u16,
        /// Why.
        source: hyper::Error,
    },
    /// The question cannot be written.
    #[error(transparent)]
    Request(#[from] http::Error),
    /// The connection broke before the answer.
    #[error("error: health rpc probe failed: {0}")]
    Exchange(#[source] hyper::Error),
    /// The server ended the connection before the answer.
    #[error("error: health rpc probe failed: the server closed the connection")]
    Closed,
    /// The answer has this status, and is none of gRPC.
    #[error("error: health rpc probe failed: unexpected HTTP status code {0}")]
    NotGrpc(u16),
    /// The call failed.
    #[error("error: health rpc probe failed: rpc error: code = {code} desc = {message}")]
    Refused {
        /// gRPC's number.
        code: String,
        /// The server's words.
        message: String,
    },
    /// The server speaks gRPC but has no health service; its words.
    #[error("server does not implement the grpc health protocol: {0}")]
    Unimplemented(String),
    /// The service says that it is not well.
    #[error("service unhealthy (responded with {0:?})")]
    Unhealthy(&'static str),
}

/// Asks the server on `port` how `service` is (empty: the server as a whole).
pub async fn check(port: u16, service: &str) -> Result<(), HealthError> {
    let stream = TcpStream::connect((ADDRESS, port))
        .await
        .map_err(|source| HealthError::Connect { port, source })?;
    // hyper gives the executor a body that it cannot send at once; it ends with the
    // connection, and that with this call.
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake
        .await
        .map_err(|source| HealthError::Handshake { port, source })?;
    let request = Request::post(format!("http://{ADDRESS}:{port}{PATH}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", super::prober::USER_AGENT)
        .body(Full::new(question(service)))?;
    let asked = async {
        let response = sender.send_request(request).await?;
        answer(response).await
    };
    let answered = tokio::select! {
        biased;
        answered = asked => answered,
        ended = connection => match ended {
            Ok(()) => return Err(HealthError::Closed),
            Err(error) => Err(error),
        },
    };
    judge(answered.map_err(HealthError::Exchange)?)
}

/// `Connection refused (os error 111)` as a kubelet says it.
pub(super) fn refusal(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    }
}

/// `HealthCheckRequest {1: service}` in gRPC's frame: a flag, a length, a message.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        put_varint(&mut message, service.len());
        message.put_slice(service.as_bytes());
    }
    frame(&message)
}

/// `HealthCheckResponse {1: status}` in gRPC's frame; 1 is `SERVING`.
pub fn response(status: u8) -> Bytes {
    frame(&[0x08, status])
}

fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

fn put_varint(message: &mut BytesMut, mut number: usize) {
    while number >= 0x80 {
        message.put_u8(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    message.put_u8(u8::try_from(number).unwrap_or(0));
}

/// What came back: HTTP's status, gRPC's, and the message.
struct Answer {
    http: u16,
    /// `grpc-status` and `grpc-message`, from the trailers or, without a body, the headers.
    grpc: Option<(String, String)>,
    body: Bytes,
}

async fn answer(response: Response<Incoming>) -> Result<Answer, hyper::Error> {
    let (head, body) = response.into_parts();
    let collected = body.collect().await?;
    let of = |headers: &HeaderMap| {
        let text = |name| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Some((
            text("grpc-status")?,
            text("grpc-message").unwrap_or_default(),
        ))
    };
    Ok(Answer {
        http: head.status.as_u16(),
        grpc: collected
            .trailers()
            .and_then(of)
            .or_else(|| of(&head.headers)),
        body: collected.to_bytes(),
    })
}

fn judge(answer: Answer) -> Result<(), HealthError> {
    match answer.grpc {
        None => Err(HealthError::NotGrpc(answer.http)),
        Some((code, _)) if code == "0" => match status(&answer.body) {
            1 => Ok(()),
            status => Err(HealthError::Unhealthy(word(status))),
        },
        Some((code, message)) if code == UNIMPLEMENTED => Err(HealthError::Unimplemented(message)),
        Some((code, message)) => Err(HealthError::Refused { code, message }),
    }
}

/// The field `status` of a `HealthCheckResponse`; absent, it is 0.
fn status(body: &[u8]) -> u8 {
    match body.get(5..) {
        Some([0x08, status, ..]) => *status,
        _ => 0,
    }
}

fn word(status: u8) -> &'static str {
    match status {
        1 => "SERVING",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_a_protobuf_message_in_a_grpc_frame() {
        assert_eq!(question("").as_ref(), [0, 0, 0, 0, 0]);
        assert_eq!(question("a.B").as_ref(), b"\0\0\0\0\x05\x0a\x03a.B");
        let long = question(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
    }

    #[test]
    fn what_a_server_may_answer_is_told_in_a_kubelets_words() {
        let mut told = String::new();
        let status = |code: &str, message: &str| Some((code.to_owned(), message.to_owned()));
        for (grpc, body) in [
            (status("0", ""), response(1)),
            (status("0", ""), response(2)),
            (status("0", ""), frame(&[])),
            (
                status("12", "unknown service grpc.health.v1.Health"),
                Bytes::new(),
            ),
            (status("5", "unknown service"), Bytes::new()),
            (None, Bytes::from_static(b"<html>")),
        ] {
            let answer = Answer {
                http: 200,
                grpc,
                body,
            };
            told.push_str(
                &judge(answer).map_or_else(|error| error.to_string(), |()| "well".into()),
            );
            told.push('\n');
        }
        expect_test::expect![[r#"
            well
            service unhealthy (responded with "NOT_SERVING")
            service unhealthy (responded with "UNKNOWN")
            server does not implement the grpc health protocol: unknown service grpc.health.v1.Health
            error: health rpc probe failed: rpc error: code = 5 desc = unknown service
            error: health rpc probe failed: unexpected HTTP status code 200
        "#]]
        .assert_eq(&told);
    }
}
