//! What a proxy does to headers: hop-by-hop fields end here (RFC 9110 section 7.6.1),
//! `Forwarded` and its older kin are added (RFC 7239).

use bytes::BytesMut;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CONNECTION, EXPECT, FORWARDED, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
        TRANSFER_ENCODING, UPGRADE,
    },
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const HTTP: HeaderValue = HeaderValue::from_static("http");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// The client's address in the forms that headers want it in, made once a connection.
#[derive(Clone, Debug)]
pub struct ClientAddress {
    plain: HeaderValue,
    /// As a `Forwarded` node: IPv6 in brackets and quotes.
    node: String,
}

impl ClientAddress {
    /// Of a peer's address.
    pub fn new(ip: std::net::IpAddr) -> ClientAddress {
        let plain = HeaderValue::from_str(&ip.to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        let node = match ip {
            std::net::IpAddr::V4(v4) => v4.to_string(),
            std::net::IpAddr::V6(v6) => format!("\"[{v6}]\""),
        };
        ClientAddress { plain, node }
    }
}

/// The protocol a request asks to switch to, e.g. `websocket`. A plea for `h2c` is
/// not one: an HTTP/1.1 answer is right there.
pub fn wanted_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let wanted = headers.get(UPGRADE)?;
    let asks = tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    let h2c = wanted.as_bytes().eq_ignore_ascii_case(b"h2c");
    (asks && !h2c).then(|| wanted.clone())
}

/// Removes what concerns one connection only. `Trailer` stays: it announces fields
/// that are passed on.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Most messages have none of these: one walk over the names they do have is
    // cheaper than a look-up for each that they might have.
    let mut found = [const { None }; 9];
    let mut free = found.iter_mut();
    let mut te_trailers = false;
    for (name, value) in headers.iter() {
        let hop = match *name {
            CONNECTION | TRANSFER_ENCODING | UPGRADE | EXPECT | PROXY_AUTHENTICATE
            | PROXY_AUTHORIZATION => true,
            TE => {
                te_trailers |= contains_token(value, "trailers");
                true
            }
            _ => {
                let name = name.as_str();
                matches!(name.len(), 10 | 14 | 16)
                    && (name == KEEP_ALIVE || name == PROXY_CONNECTION || name == HTTP2_SETTINGS)
            }
        };
        if hop && let Some(slot) = free.next() {
            *slot = Some(name.clone());
        }
    }
    if found.iter().flatten().any(|name| name == CONNECTION) {
        let named: Vec<HeaderName> = tokens(headers, &CONNECTION)
            .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
            .filter(|name| *name != TE)
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in found.iter().flatten() {
        headers.remove(name);
    }
    if te_trailers {
        headers.insert(TE, TRAILERS);
    }
}

/// Adds who asked, how, and for which host.
pub fn add_forwarded(headers: &mut HeaderMap, client: &ClientAddress, host: &HeaderValue) {
    let for_ = match headers.get(X_FORWARDED_FOR) {
        Some(before) => joined(&[before.as_bytes(), b", ", client.plain.as_bytes()]),
        None => Some(client.plain.clone()),
    };
    if let Some(for_) = for_ {
        headers.insert(X_FORWARDED_FOR, for_);
    }
    headers.entry(X_FORWARDED_PROTO).or_insert(HTTP);
    if !headers.contains_key(X_FORWARDED_HOST) {
        headers.insert(X_FORWARDED_HOST, host.clone());
    }
    // A host with a port is no token: it has to be quoted.
    let quote: &[u8] = if host.as_bytes().contains(&b':') {
        b"\""
    } else {
        b""
    };
    let (before, comma): (&[u8], &[u8]) = headers
        .get(FORWARDED)
        .map_or((b"", b""), |before| (before.as_bytes(), b", "));
    let node = client.node.as_bytes();
    let element = joined(&[
        before,
        comma,
        b"for=",
        node,
        b";host=",
        quote,
        host.as_bytes(),
        quote,
        b";proto=http",
    ]);
    if let Some(element) = element {
        headers.insert(FORWARDED, element);
    }
}

/// Makes the `Host` header say `host`.
pub fn set_host(headers: &mut HeaderMap, host: HeaderValue) {
    headers.insert(HOST, host);
}

/// Asks the next hop to switch protocols.
pub fn ask_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// One `Cookie` field of several: HTTP/2 lets a client split it, HTTP/1.1 does not
/// (RFC 9113 section 8.2.3).
pub fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers
        .get_all(http::header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(http::header::COOKIE, cookie);
    }
}

fn joined(parts: &[&[u8]]) -> Option<HeaderValue> {
    let mut text = BytesMut::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| text.extend_from_slice(part));
    HeaderValue::from_maybe_shared(text.freeze()).ok()
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

fn contains_token(value: &HeaderValue, wanted: &str) -> bool {
    let Ok(value) = value.to_str() else {
        return false;
    };
    value.split(',').any(|token| {
        token
            .split(';')
            .next()
            .unwrap_or("")
            .trim()
            .eq_ignore_ascii_case(wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn shown(headers: &HeaderMap) -> Vec<String> {
        headers
            .iter()
            .map(|(n, v)| format!("{n}: {}", v.to_str().unwrap()))
            .collect()
    }

    #[test]
    fn connection_fields_and_what_they_name_end_here() {
        let mut map = headers(&[
            ("host", "hello"),
            ("connection", "keep-alive, X-Private"),
            ("keep-alive", "timeout=5"),
            ("x-private", "1"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip;q=0.5, trailers"),
            ("trailer", "x-checksum"),
            ("proxy-connection", "close"),
            ("http2-settings", "AAAA"),
            ("expect", "100-continue"),
            ("x-public", "2"),
        ]);
        strip_hop_by_hop(&mut map);
        let mut left = shown(&map);
        left.sort();
        assert_eq!(
            left,
            [
                "host: hello",
                "te: trailers",
                "trailer: x-checksum",
                "x-public: 2"
            ]
        );
    }

    #[test]
    fn forwarded_is_added_to_what_others_said() {
        let client = ClientAddress::new("127.0.0.1".parse().unwrap());
        let host = HeaderValue::from_static("hello.default.localhost:8080");
        let mut map = HeaderMap::new();
        add_forwarded(&mut map, &client, &host);
        let mut first = shown(&map);
        first.sort();
        assert_eq!(
            first,
            [
                "forwarded: for=127.0.0.1;host=\"hello.default.localhost:8080\";proto=http",
                "x-forwarded-for: 127.0.0.1",
                "x-forwarded-host: hello.default.localhost:8080",
                "x-forwarded-proto: http",
            ]
        );
        let next = ClientAddress::new("::1".parse().unwrap());
        add_forwarded(&mut map, &next, &HeaderValue::from_static("inner"));
        assert_eq!(map["x-forwarded-for"], "127.0.0.1, ::1");
        assert_eq!(map["x-forwarded-host"], "hello.default.localhost:8080");
        assert!(
            map["forwarded"]
                .to_str()
                .unwrap()
                .ends_with(", for=\"[::1]\";host=inner;proto=http")
        );
    }

    #[test]
    fn a_websocket_is_an_upgrade_and_h2c_is_not() {
        let of = |lines: &[(&'static str, &'static str)]| wanted_upgrade(&headers(lines));
        assert_eq!(
            of(&[("connection", "Upgrade"), ("upgrade", "websocket")]).unwrap(),
            "websocket"
        );
        assert_eq!(
            of(&[
                ("connection", "upgrade, http2-settings"),
                ("upgrade", "h2c")
            ]),
            None
        );
        assert_eq!(of(&[("upgrade", "websocket")]), None);
    }

    #[test]
    fn cookie_crumbs_become_one_field() {
        let mut map = headers(&[("cookie", "a=1"), ("cookie", "b=2")]);
        join_cookies(&mut map);
        assert_eq!(shown(&map), ["cookie: a=1; b=2"]);
    }
}
