//! The test bed's etcd, which forgets old versions when it is told to.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// One call of etcd's own API.
async fn call(name: &str, body: Value) -> Value {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = hyper::Request::post(format!("http://127.0.0.1:2379/v3/kv/{name}"))
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    let answer = client.request(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

/// Forgets every version of every object but the last, one that no watch has come to.
pub async fn compact() {
    // `sluice`, in base64.
    let noise = json!({"key": "c2x1aWNl", "value": ""});
    let written = call("put", noise).await;
    let head = &written["header"]["revision"];
    let compacted = call("compaction", json!({"revision": head, "physical": true})).await;
    assert!(compacted["header"]["revision"].is_string(), "{compacted}");
}
