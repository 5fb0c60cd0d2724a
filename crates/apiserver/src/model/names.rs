//! What names, labels and keys may look like, in Kubernetes' words: each function answers
//! everything that is wrong with a text, and nothing where it is fine.
//!
//! Source: `k8s.io/apimachinery/pkg/util/validation`.

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

use crate::api::dns_names::is_dns_1123_shape as is_label;

/// What is wrong with a text.
pub type Wrong = Vec<String>;

fn longer_than(text: &str, limit: usize, wrong: &mut Wrong) {
    if text.len() > limit {
        wrong.push(format!("must be no more than {limit} characters"));
    }
}

/// A DNS subdomain, as most objects are named.
pub fn subdomain(name: &str) -> Wrong {
    let mut wrong = Wrong::new();
    longer_than(name, 253, &mut wrong);
    if !name.split('.').all(is_label) {
        wrong.push(SUBDOMAIN.to_owned());
    }
    wrong
}

/// A DNS label, as namespaces and containers are named.
pub fn label(name: &str) -> Wrong {
    let mut wrong = Wrong::new();
    longer_than(name, 63, &mut wrong);
    if !is_label(name) {
        wrong.push(LABEL.to_owned());
    }
    wrong
}

/// A DNS label that begins with a letter, as Services and kinds are named.
pub fn label_1035(name: &str) -> Wrong {
    let mut wrong = Wrong::new();
    longer_than(name, 63, &mut wrong);
    if !is_label(name) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        wrong.push(LABEL_1035.to_owned());
    }
    wrong
}

/// What may be one step of a URL's path: all that roles and bindings must be.
pub fn path_segment(name: &str) -> Wrong {
    if matches!(name, "." | "..") {
        return vec![format!("may not be '{name}'")];
    }
    ['/', '%']
        .into_iter()
        .filter(|c| name.contains(*c))
        .map(|c| format!("may not contain '{c}'"))
        .collect()
}

/// A label's or annotation's key: a name, with a domain before it or not.
pub fn qualified(key: &str) -> Wrong {
    let mut wrong = Wrong::new();
    let (prefix, name) = match key.split('/').collect::<Vec<_>>().as_slice() {
        [name] => (None, *name),
        [prefix, name] => (Some(*prefix), *name),
        _ => {
            return vec![format!(
                "a qualified name {QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    match prefix {
        None => {}
        Some("") => wrong.push("prefix part must be non-empty".to_owned()),
        Some(prefix) => wrong.extend(
            subdomain(prefix)
                .into_iter()
                .map(|why| format!("prefix part {why}")),
        ),
    }
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        wrong.push("name part must be no more than 63 characters".to_owned());
    }
    if !is_word(name) {
        wrong.push(format!("name part {QUALIFIED}"));
    }
    wrong
}

/// A label's value.
pub fn label_value(value: &str) -> Wrong {
    let mut wrong = Wrong::new();
    longer_than(value, 63, &mut wrong);
    if !value.is_empty() && !is_word(value) {
        wrong.push(LABEL_VALUE.to_owned());
    }
    wrong
}

/// A key in a ConfigMap or a Secret.
pub fn config_key(key: &str) -> Wrong {
    let mut wrong = Wrong::new();
    longer_than(key, 253, &mut wrong);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if key.is_empty() || !key.chars().all(fits) {
        wrong.push(CONFIG_KEY.to_owned());
    }
    match key {
        "." | ".." => wrong.push(format!("must not be '{key}'")),
        _ if key.starts_with("..") => wrong.push("must not start with '..'".to_owned()),
        _ => {}
    }
    wrong
}

/// A port's name.
pub fn port_name(name: &str) -> Wrong {
    let mut wrong = Wrong::new();
    if name.len() > 15 {
        wrong.push("must be no more than 15 characters".to_owned());
    }
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.chars().all(fits) {
        wrong.push(
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned(),
        );
    }
    if !name.contains(|c: char| c.is_ascii_lowercase()) {
        wrong.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        wrong.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        wrong.push("must not begin or end with a hyphen".to_owned());
    }
    wrong
}

/// A port's number.
pub fn port(number: i64) -> Option<&'static str> {
    (!(1..=65_535).contains(&number)).then_some("must be between 1 and 65535, inclusive")
}

fn is_word(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    edge(text.chars().next()) && edge(text.chars().next_back()) && text.chars().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_are_fine_and_bad_ones_are_told_why() {
        for (name, count) in [("a", 0), ("a.b-c.9", 0), ("", 1), ("A_", 1), ("a..b", 1)] {
            assert_eq!(subdomain(name).len(), count, "{name}");
        }
        assert_eq!(
            subdomain(&"x".repeat(254)),
            ["must be no more than 253 characters"]
        );
        assert!(label("a.b").len() == 1 && label_1035("9a").len() == 1);
        for good in ["app", "example.com/App.kubernetes_io"] {
            assert!(qualified(good).is_empty(), "{good}");
        }
        for bad in ["", "a b", "/a", "a/", "A/b", "a/b/c"] {
            assert!(!qualified(bad).is_empty(), "{bad}");
        }
        assert!(label_value("").is_empty() && !label_value("a b").is_empty());
        assert_eq!(config_key("..x"), ["must not start with '..'"]);
        assert_eq!(path_segment("a/b"), ["may not contain '/'"]);
    }
}
