//! Names as Kubernetes checks them, with its sentences for what is wrong.

/// Why `name` is not a DNS-1035 label; empty when it is one.
pub fn dns_1035_label(name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if name.len() > 63 {
        wrong.push("must be no more than 63 characters".to_owned());
    }
    let starts_with_a_letter = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !starts_with_a_letter || !is_dns_1123_shape(name) {
        wrong.push(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start \
             with an alphabetic character, and end with an alphanumeric character (e.g. \
             'my-name',  or 'abc-123', regex used for validation is \
             '[a-z]([-a-z0-9]*[a-z0-9])?')"
                .to_owned(),
        );
    }
    wrong
}

/// Why `prefix` cannot begin a DNS-1035 label.
pub fn dns_1035_prefix(prefix: &str) -> Vec<String> {
    dns_1035_label(&as_name(prefix))
}

/// A prefix as the name that it is checked as: it may end with a dash, and Kubernetes does not
/// look at what is in front of that either.
pub fn as_name(prefix: &str) -> String {
    let mut stem = prefix.chars();
    match (stem.next_back(), stem.next_back()) {
        (Some('-'), Some(_)) => format!("{}a", stem.as_str()),
        _ => prefix.to_owned(),
    }
}

/// Whether `name` is a DNS-1123 label.
pub fn is_dns_1123_label(name: &str) -> bool {
    name.len() <= 63 && is_dns_1123_shape(name)
}

/// Why `name` is not a DNS-1123 subdomain; empty when it is one.
pub fn dns_1123_subdomain(name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if name.len() > 253 {
        wrong.push("must be no more than 253 characters".to_owned());
    }
    if !name.split('.').all(is_dns_1123_shape) {
        wrong.push(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
             '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                .to_owned(),
        );
    }
    wrong
}

/// Why `name` is not a qualified name (`[prefix/]name`); empty when it is one.
pub fn qualified_name(name: &str) -> Vec<String> {
    const SHAPE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start \
                         and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or \
                         '123-abc', regex used for validation is \
                         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    let mut wrong = Vec::new();
    let part = match name.split_once('/') {
        None => name,
        Some((_, rest)) if rest.contains('/') => {
            return vec![format!(
                "a qualified name {SHAPE} with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
            )];
        }
        Some(("", rest)) => {
            wrong.push("prefix part must be non-empty".to_owned());
            rest
        }
        Some((prefix, rest)) => {
            wrong.extend(
                dns_1123_subdomain(prefix)
                    .into_iter()
                    .map(|message| format!("prefix part {message}")),
            );
            rest
        }
    };
    if part.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if part.len() > 63 {
        wrong.push("name part must be no more than 63 characters".to_owned());
    }
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let ends_well = part.starts_with(|c: char| c.is_ascii_alphanumeric())
        && part.ends_with(|c: char| c.is_ascii_alphanumeric());
    if !ends_well || !part.chars().all(inner) {
        wrong.push(format!("name part {SHAPE}"));
    }
    wrong
}

/// Whether `name` is made as a DNS-1123 label is, however long.
pub fn is_dns_1123_shape(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_1035_labels_start_with_a_letter() {
        assert!(dns_1035_label("hello-00001").is_empty());
        assert_eq!(dns_1035_label("1hello").len(), 1);
        assert_eq!(dns_1035_label("Hello").len(), 1);
        assert_eq!(dns_1035_label(&"a".repeat(64)).len(), 1);
        assert_eq!(dns_1035_label("").len(), 1);
        assert!(dns_1035_prefix("hello-").is_empty());
        assert!(dns_1035_prefix("hello--").is_empty());
        assert_eq!(dns_1035_prefix("-").len(), 1);
    }

    #[test]
    fn qualified_names_may_carry_a_prefix() {
        assert!(qualified_name("hello.v1").is_empty());
        assert!(qualified_name("example.com/MyName").is_empty());
        assert_eq!(qualified_name("a/b/c").len(), 1);
        assert_eq!(qualified_name("bad name").len(), 1);
    }
}
