//! Whether a host key is the one that known_hosts names (`sshd(8)`, SSH_KNOWN_HOSTS FILE FORMAT).

use base64::Engine;
use ring::hmac;
use russh::keys::{Algorithm, PublicKey};

/// What known_hosts says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostKeyMatch {
    /// It is the host's key.
    Known,
    /// There is no line for this host.
    Unknown,
    /// There are lines for this host, with other keys; one of them.
    Changed {
        /// The first such line, counted from 1.
        line: usize,
    },
    /// The key must never be accepted.
    Revoked {
        /// The line that says so.
        line: usize,
    },
}

struct Line {
    number: usize,
    revoked: bool,
    key: PublicKey,
}

/// Judges a key for `host` (as [`super::SshAddress::known_hosts_name`] writes it).
pub(super) fn judge(known_hosts: &str, host: &str, key: &PublicKey) -> HostKeyMatch {
    let mut verdict = HostKeyMatch::Unknown;
    for line in lines(known_hosts, host) {
        let same = line.key.key_data() == key.key_data();
        match (line.revoked, same) {
            (true, true) => return HostKeyMatch::Revoked { line: line.number },
            (false, true) => verdict = HostKeyMatch::Known,
            (false, false) if verdict == HostKeyMatch::Unknown => {
                verdict = HostKeyMatch::Changed { line: line.number };
            }
            _ => {}
        }
    }
    verdict
}

/// The kinds of key that known_hosts has for a host: asked for first, so that a server with
/// several keys shows the one that we can check.
pub(super) fn algorithms(known_hosts: &str, host: &str) -> Vec<Algorithm> {
    lines(known_hosts, host)
        .filter(|line| !line.revoked)
        .map(|line| line.key.algorithm())
        .collect()
}

fn lines<'a>(known_hosts: &'a str, host: &'a str) -> impl Iterator<Item = Line> + 'a {
    (1..)
        .zip(known_hosts.lines())
        .filter_map(move |(number, line)| {
            let mut words = line.split_whitespace();
            let mut hosts = words.next()?;
            let mut revoked = false;
            match hosts {
                "@revoked" => {
                    revoked = true;
                    hosts = words.next()?;
                }
                // We ask no server for a certificate, so no authority can vouch for one.
                marker if marker.starts_with(['@', '#']) => return None,
                _ => {}
            }
            if !matches(hosts, host) {
                return None;
            }
            let (kind, key) = (words.next()?, words.next()?);
            let key = PublicKey::from_openssh(&format!("{kind} {key}")).ok()?;
            Some(Line {
                number,
                revoked,
                key,
            })
        })
}

/// Whether a line's first field covers the host.
fn matches(patterns: &str, host: &str) -> bool {
    if let Some(hashed) = patterns.strip_prefix("|1|") {
        return hash_matches(hashed, host).unwrap_or(false);
    }
    let mut found = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if glob(pattern, host) => return false,
            Some(_) => {}
            None => found |= glob(pattern, host),
        }
    }
    found
}

/// `|1|salt|hash`: HMAC-SHA1 of the host name, which is what OpenSSH writes.
fn hash_matches(hashed: &str, host: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).ok();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &decode(salt)?);
    Some(hmac::verify(&key, host.as_bytes(), &decode(hash)?).is_ok())
}

/// `*` and `?`, without regard to case.
fn glob(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.to_ascii_lowercase().chars().collect();
    let text: Vec<char> = text.to_ascii_lowercase().chars().collect();
    // Row by row: which prefixes of the text does this prefix of the pattern match?
    let mut reach = vec![false; text.len() + 1];
    if let Some(empty) = reach.first_mut() {
        *empty = true;
    }
    for wanted in pattern {
        let mut next = vec![false; text.len() + 1];
        let mut before = false;
        for (index, cell) in next.iter_mut().enumerate() {
            let here = reach.get(index).copied().unwrap_or(false);
            if wanted == '*' {
                before |= here;
                *cell = before;
            } else if let Some(last) = index.checked_sub(1) {
                let fits = wanted == '?' || text.get(last) == Some(&wanted);
                *cell = fits && reach.get(last).copied().unwrap_or(false);
            }
        }
        reach = next;
    }
    reach.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made by `ssh-keygen -t ed25519`, for these tests only.
    const ONE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
    const TWO: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC";

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).unwrap()
    }

    fn verdict(known_hosts: &str, host: &str) -> HostKeyMatch {
        judge(known_hosts, host, &key(ONE))
    }

    #[test]
    fn a_key_is_known_by_name_pattern_or_port() {
        assert_eq!(
            verdict(&format!("git.example.com {ONE}"), "git.example.com"),
            HostKeyMatch::Known
        );
        assert_eq!(
            verdict(
                &format!("# x\n\na,*.example.com {ONE} me@here"),
                "git.example.com"
            ),
            HostKeyMatch::Known
        );
        assert_eq!(
            verdict(&format!("[localhost]:2222 {ONE}"), "[localhost]:2222"),
            HostKeyMatch::Known
        );
        assert_eq!(
            verdict(&format!("git.exampl?.com {ONE}"), "git.example.com"),
            HostKeyMatch::Known
        );
    }

    #[test]
    fn another_host_is_unknown() {
        assert_eq!(verdict("", "git.example.com"), HostKeyMatch::Unknown);
        assert_eq!(
            verdict(&format!("other.example.com {ONE}"), "git.example.com"),
            HostKeyMatch::Unknown
        );
        assert_eq!(
            verdict(
                &format!("*.example.com,!git.example.com {ONE}"),
                "git.example.com"
            ),
            HostKeyMatch::Unknown
        );
        assert_eq!(
            verdict(&format!("localhost {ONE}"), "[localhost]:2222"),
            HostKeyMatch::Unknown
        );
    }

    #[test]
    fn another_key_is_a_change_unless_one_of_the_lines_has_it() {
        let other = format!("h {TWO}");
        assert_eq!(verdict(&other, "h"), HostKeyMatch::Changed { line: 1 });
        assert_eq!(
            verdict(&format!("{other}\nh {ONE}"), "h"),
            HostKeyMatch::Known
        );
    }

    #[test]
    fn a_revoked_key_is_refused_even_where_it_is_known() {
        assert_eq!(
            verdict(&format!("h {ONE}\n@revoked * {ONE}"), "h"),
            HostKeyMatch::Revoked { line: 2 }
        );
        assert_eq!(
            verdict(&format!("@cert-authority * {ONE}"), "h"),
            HostKeyMatch::Unknown
        );
    }

    #[test]
    fn hashed_hosts_are_recognised() {
        let salt = base64::engine::general_purpose::STANDARD.encode([7; 20]);
        let mac = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &[7; 20]);
        let tag = hmac::sign(&mac, b"git.example.com");
        let hash = base64::engine::general_purpose::STANDARD.encode(tag);
        let line = format!("|1|{salt}|{hash} {ONE}");
        assert_eq!(verdict(&line, "git.example.com"), HostKeyMatch::Known);
        assert_eq!(verdict(&line, "other.example.com"), HostKeyMatch::Unknown);
    }
}
