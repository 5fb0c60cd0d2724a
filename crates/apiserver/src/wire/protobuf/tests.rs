//! Messages put together byte by byte.

use serde_json::json;

use super::*;

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn bytes(field: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [
        varint((field << 3) | 2),
        varint(value.len() as u64),
        value.to_owned(),
    ]
    .concat()
}

fn object(api_version: &str, kind: &str, raw: Vec<u8>) -> Vec<u8> {
    let meta = [bytes(1, api_version), bytes(2, kind)].concat();
    [MAGIC.to_owned(), bytes(1, meta), bytes(2, raw)].concat()
}

#[test]
fn a_secret_is_read() {
    let metadata = [
        bytes(1, "login"),
        bytes(3, ""),
        bytes(8, []),
        bytes(11, [bytes(1, "tier"), bytes(2, "web")].concat()),
    ]
    .concat();
    let raw = [
        bytes(1, metadata),
        bytes(2, [bytes(1, "user"), bytes(2, "ann")].concat()),
        bytes(3, "Opaque"),
        number(99, 7),
    ]
    .concat();
    assert_eq!(
        decode(&object("v1", "Secret", raw)).unwrap(),
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "login", "labels": {"tier": "web"}},
            "data": {"user": "YW5u"},
        })
    );
}

#[test]
fn zeros_of_pointers_stay_and_inlined_messages_lie_flat() {
    let probe = [
        bytes(
            1,
            bytes(2, [bytes(1, "/"), bytes(2, number(2, 8080))].concat()),
        ),
        number(2, 0),
        number(6, u64::MAX),
    ]
    .concat();
    let container = [
        bytes(1, "c"),
        bytes(3, "run"),
        bytes(3, "fast"),
        bytes(
            8,
            bytes(1, [bytes(1, "cpu"), bytes(2, bytes(1, "100m"))].concat()),
        ),
        bytes(11, probe),
    ]
    .concat();
    let pod = bytes(2, bytes(2, container));
    let template = bytes(3, pod);
    let spec = [number(1, 0), template].concat();
    let read = decode(&object("apps/v1", "Deployment", bytes(2, spec))).unwrap();
    assert_eq!(
        read["spec"],
        json!({"replicas": 0, "template": {"spec": {"containers": [{
            "name": "c",
            "command": ["run", "fast"],
            "resources": {"limits": {"cpu": "100m"}},
            "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "failureThreshold": -1},
        }]}}})
    );
}

#[test]
fn nonsense_is_refused_and_never_panics() {
    assert!(decode(b"{}").is_err());
    assert!(matches!(
        decode(&object("v1", "Nothing", Vec::new())),
        Err(Broken::Unknown(_))
    ));
    let good = object("v1", "ConfigMap", bytes(1, bytes(1, "name")));
    for end in 0..good.len() {
        let _ = decode(&good[..end]);
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0xff;
        let _ = decode(&bad);
    }
}
