//! String formats that the API server checks (OpenAPI's `format`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use regex::Regex;

/// Whether values of this format are checked; of others anything goes, as in Kubernetes.
pub(super) fn is_checked(name: &str) -> bool {
    matches!(
        name,
        "date"
            | "date-time"
            | "datetime"
            | "duration"
            | "ipv4"
            | "ipv6"
            | "cidr"
            | "uuid"
            | "byte"
            | "email"
            | "hostname"
            | "uri"
            | "k8s-short-name"
            | "k8s-long-name"
    )
}

pub(super) fn is_valid(name: &str, text: &str) -> bool {
    match name {
        "date" => text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10,
        "date-time" | "datetime" => text.parse::<jiff::Timestamp>().is_ok(),
        "duration" => matches(&DURATION, text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "uuid" => matches(&UUID, text),
        "byte" => matches(&BASE64, text) && text.len().is_multiple_of(4),
        "email" => text
            .split_once('@')
            .is_some_and(|(who, at)| !who.is_empty() && !at.is_empty()),
        "hostname" => text.len() <= 255 && matches(&HOSTNAME, text),
        "uri" => text.parse::<http::Uri>().is_ok() && text.contains(['/', ':']),
        "k8s-short-name" => text.len() <= 63 && matches(&LABEL, text),
        "k8s-long-name" => text.len() <= 253 && text.split('.').all(|label| matches(&LABEL, label)),
        _ => true,
    }
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    match (address.parse::<IpAddr>(), length.parse::<u8>()) {
        (Ok(IpAddr::V4(_)), Ok(length)) => length <= 32,
        (Ok(IpAddr::V6(_)), Ok(length)) => length <= 128,
        _ => false,
    }
}

type Lazy = LazyLock<Option<Regex>>;

fn matches(regex: &Lazy, text: &str) -> bool {
    regex.as_ref().is_none_or(|regex| regex.is_match(text))
}

/// Go's `time.ParseDuration`, and the spelled-out units that go-openapi takes too.
static DURATION: Lazy = LazyLock::new(|| {
    Regex::new(r"^[-+]?(0|(\d+(\.\d*)?|\.\d+)\s*(ns|us|µs|ms|s|m|h|d|w|nanos?(econds?)?|micros?(econds?)?|millis?(econds?)?|sec(ond)?s?|min(ute)?s?|hr?s?|hours?|days?|weeks?)(\s*(\d+(\.\d*)?|\.\d+)\s*(ns|us|µs|ms|s|m|h|d|w))*)$").ok()
});
static UUID: Lazy = LazyLock::new(|| {
    Regex::new(r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$").ok()
});
static BASE64: Lazy = LazyLock::new(|| Regex::new(r"^[A-Za-z0-9+/]*={0,2}$").ok());
static HOSTNAME: Lazy = LazyLock::new(|| {
    Regex::new(r"^([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*\.?$").ok()
});
static LABEL: Lazy = LazyLock::new(|| Regex::new(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$").ok());
