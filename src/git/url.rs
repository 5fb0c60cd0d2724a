//! Where a repository is: the URL forms that Git users write, and the transport each needs.

use std::fmt;
use std::num::ParseIntError;
use std::path::PathBuf;
use std::string::FromUtf8Error;

use super::GitError;

/// A repository's address.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum RemoteUrl {
    /// On this machine.
    File(PathBuf),
    /// `http://` or `https://`, without user information.
    Http(String),
    /// `ssh://` or `user@host:path`.
    Ssh(SshAddress),
}

/// Who to log in as, where, and which repository to ask for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SshAddress {
    /// Login name; `git` where the URL names none.
    pub user: String,
    /// Host name or address, without brackets.
    pub host: String,
    /// 22 where the URL names none.
    pub port: u16,
    /// As `git-upload-pack` gets it: relative for the scp-like form, absolute for `ssh://`.
    pub path: String,
}

impl RemoteUrl {
    /// Reads `file:///srv/shop.git`, `/srv/shop.git`, `https://host/shop.git`,
    /// `ssh://git@host:2222/shop.git` or `git@host:shop.git`.
    ///
    /// User information in an http(s) URL is refused: it would end up in status,
    /// events and logs; it belongs into the Secret.
    pub fn parse(text: &str) -> Result<Self, GitError> {
        let text = text.trim();
        read(text).map_err(|fault| GitError::BadUrl {
            url: without_password(text),
            detail: fault.to_string(),
        })
    }
}

/// What is wrong with a URL, and what would be right.
#[derive(Debug, thiserror::Error)]
enum UrlFault {
    #[error("it is empty")]
    Empty,
    #[error("it contains control characters")]
    Control,
    #[error("it contains blanks")]
    Blanks,
    #[error("git:// is neither private nor authentic; use https:// or ssh://")]
    GitScheme,
    #[error("use file://, https://, http:// or ssh://")]
    UnknownScheme,
    #[error("use file:///PATH, https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH")]
    NoForm,
    #[error("a file URL has three slashes: file:///{0}")]
    TwoSlashes(String),
    #[error(
        "put user name, password or token into the Secret that secretRef names, not into the URL{}",
        if *.is_encrypted { "" } else { ", and use https://" }
    )]
    Login { is_encrypted: bool },
    #[error(
        "after the host comes at most a port; a password or token goes into the Secret that secretRef names"
    )]
    AfterHost(#[source] Box<Self>),
    #[error("a repository's URL has no query and no fragment")]
    Query,
    #[error("the repository's path is missing")]
    NoPath,
    #[error("passwords do not belong into the URL; use a key in the Secret (identity)")]
    Password,
    #[error("a ] is missing")]
    NoBracket,
    #[error("the host is missing")]
    NoHost,
    #[error("a host does not start with a dash")]
    Dash,
    #[error("\"{text}\" is not a port")]
    NoPort { text: String, source: ParseIntError },
    #[error("a % is not followed by two hexadecimal digits")]
    Percent,
    #[error("it is not UTF-8 once its %xx are decoded")]
    NotUtf8(#[from] FromUtf8Error),
    #[error("it contains control characters once its %xx are decoded")]
    ControlOnceDecoded,
}

fn read(text: &str) -> Result<RemoteUrl, UrlFault> {
    if text.is_empty() {
        return Err(UrlFault::Empty);
    }
    if text.chars().any(char::is_control) {
        return Err(UrlFault::Control);
    }
    if text.contains(' ') && !text.starts_with('/') {
        return Err(UrlFault::Blanks);
    }
    if text.starts_with('/') {
        return Ok(RemoteUrl::File(PathBuf::from(text)));
    }
    match text.split_once("://") {
        Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
            "file" => file_path(rest),
            scheme @ ("http" | "https") => http_url(scheme, rest),
            "ssh" | "git+ssh" | "ssh+git" => ssh_url(rest),
            "git" => Err(UrlFault::GitScheme),
            _ => Err(UrlFault::UnknownScheme),
        },
        None => scp_like(text).ok_or(UrlFault::NoForm),
    }
}

fn file_path(rest: &str) -> Result<RemoteUrl, UrlFault> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        let path = path.trim_start_matches('/').to_owned();
        return Err(UrlFault::TwoSlashes(path));
    }
    Ok(RemoteUrl::File(PathBuf::from(percent_decode(path)?)))
}

fn http_url(scheme: &str, rest: &str) -> Result<RemoteUrl, UrlFault> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err(UrlFault::Login {
            is_encrypted: scheme != "http",
        });
    }
    // A password with a slash in it would pass for a port and a path.
    host_and_port(authority).map_err(|fault| UrlFault::AfterHost(Box::new(fault)))?;
    if path.contains(['?', '#']) {
        return Err(UrlFault::Query);
    }
    let path = path.trim_end_matches('/');
    Ok(RemoteUrl::Http(format!("{scheme}://{authority}/{path}")))
}

fn ssh_url(rest: &str) -> Result<RemoteUrl, UrlFault> {
    let (authority, path) = rest.split_once('/').ok_or(UrlFault::NoPath)?;
    let (user, host_port) = match authority.rsplit_once('@') {
        Some((user, host_port)) => (user, host_port),
        None => ("git", authority),
    };
    if user.contains(':') {
        return Err(UrlFault::Password);
    }
    let (host, port) = host_and_port(host_port)?;
    let path = percent_decode(path)?;
    // ssh://host/~user/repo is relative to that user's home, everything else is absolute.
    let path = if path.starts_with('~') {
        path
    } else {
        format!("/{path}")
    };
    Ok(RemoteUrl::Ssh(SshAddress {
        user: percent_decode(user)?,
        host,
        port,
        path,
    }))
}

fn host_and_port(text: &str) -> Result<(String, u16), UrlFault> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(UrlFault::NoBracket)?;
        (host, after.strip_prefix(':'))
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() {
        return Err(UrlFault::NoHost);
    }
    // A host that starts with a dash was CVE-2017-1000117 where a program is called with it.
    if host.starts_with('-') {
        return Err(UrlFault::Dash);
    }
    let port = match port {
        Some(port) => port.parse().map_err(|source| UrlFault::NoPort {
            text: port.to_owned(),
            source,
        })?,
        None => 22,
    };
    Ok((host.to_owned(), port))
}

/// `git@host:path`: a colon before the first slash, and a path behind it.
fn scp_like(text: &str) -> Option<RemoteUrl> {
    let (authority, path) = if let Some(end) = text.find("]:") {
        (text.get(..=end)?, text.get(end + 2..)?)
    } else {
        text.split_once(':')?
    };
    if authority.contains('/') || path.is_empty() {
        return None;
    }
    // `user:password@host:path` is no form of Git's; its user would pass for a host.
    if !authority.contains('@') && path.contains('@') {
        return None;
    }
    let (user, host) = authority.rsplit_once('@').unwrap_or(("git", authority));
    let host = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    if host.is_empty() || host.starts_with('-') || user.is_empty() || path.starts_with('-') {
        return None;
    }
    Some(RemoteUrl::Ssh(SshAddress {
        user: user.to_owned(),
        host: host.to_owned(),
        port: 22,
        path: path.to_owned(),
    }))
}

fn percent_decode(text: &str) -> Result<String, UrlFault> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err(UrlFault::Percent),
        }
    }
    let text = String::from_utf8(bytes)?;
    if text.chars().any(char::is_control) {
        return Err(UrlFault::ControlOnceDecoded);
    }
    Ok(text)
}

/// The text with `user:password@` taken out, fit for messages.
fn without_password(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    // The last one: a password may have slashes in it, and signs like this one.
    let shown = match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}***@{host}"),
        None => text.to_owned(),
    };
    // In one line, whatever it is.
    shown.replace(char::is_control, "?")
}

impl SshAddress {
    /// How known_hosts names the host: `host`, or `[host]:port` off port 22.
    pub fn known_hosts_name(&self) -> String {
        let host = self.host.to_ascii_lowercase();
        match self.port {
            22 => host,
            port => format!("[{host}]:{port}"),
        }
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file://{}", path.display()),
            Self::Http(url) => f.write_str(url),
            Self::Ssh(ssh) => {
                let slash = if ssh.path.starts_with('/') { "" } else { "/" };
                let host = if ssh.host.contains(':') {
                    format!("[{}]", ssh.host)
                } else {
                    ssh.host.clone()
                };
                match ssh.port {
                    22 if !slash.is_empty() => write!(f, "{}@{host}:{}", ssh.user, ssh.path),
                    22 => write!(f, "ssh://{}@{host}{}", ssh.user, ssh.path),
                    port => write!(f, "ssh://{}@{host}:{port}{slash}{}", ssh.user, ssh.path),
                }
            }
        }
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(urls: &[&str], expected: Expect) {
        let lines: Vec<String> = urls
            .iter()
            .map(|url| match RemoteUrl::parse(url) {
                Ok(RemoteUrl::Ssh(ssh)) => format!(
                    "ssh {} as {} wants {}",
                    ssh.known_hosts_name(),
                    ssh.user,
                    ssh.path
                ),
                Ok(RemoteUrl::Http(url)) => format!("http {url}"),
                Ok(RemoteUrl::File(path)) => format!("file {}", path.display()),
                Err(error) => error.to_string(),
            })
            .collect();
        expected.assert_eq(&(lines.join("\n") + "\n"));
    }

    #[test]
    fn every_form_that_git_users_write_is_understood() {
        check(
            &[
                "file:///srv/git/shop.git",
                "file:///srv/with%20blank/shop.git",
                "/srv/git/shop.git",
                "https://example.com/team/shop.git/",
                "HTTP://localhost:8080/shop",
                "git@example.com:team/shop.git",
                "example.com:/srv/shop.git",
                "ssh://example.com/srv/shop.git",
                "ssh://deploy@Example.com:2222/~git/shop.git",
                "ssh://git@[::1]:2222/shop.git",
            ],
            expect![[r#"
                file /srv/git/shop.git
                file /srv/with blank/shop.git
                file /srv/git/shop.git
                http https://example.com/team/shop.git
                http http://localhost:8080/shop
                ssh example.com as git wants team/shop.git
                ssh example.com as git wants /srv/shop.git
                ssh example.com as git wants /srv/shop.git
                ssh [example.com]:2222 as deploy wants ~git/shop.git
                ssh [::1]:2222 as git wants /shop.git
            "#]],
        );
    }

    #[test]
    fn what_is_not_a_repository_says_what_to_write_instead() {
        check(
            &[
                "",
                "shop",
                "ftp://example.com/shop.git",
                "git://example.com/shop.git",
                "https://bot:s3cret@example.com/shop.git",
                "file://srv/shop.git",
                "ssh://-oProxyCommand=x/shop",
                "https://example.com/shop.git?x=1",
                "https://bot:s3/cret@example.com/shop.git",
                "http://bot:s3cret@example.com/shop.git",
                "bot:s3cret@example.com:shop.git",
                "https://example.com/shop.git\nx",
                "/srv/shop.git\nx",
                "file:///srv/shop%0a.git",
                "ssh://git@example.com/shop%00.git",
                "-oProxyCommand=x:shop",
                "--upload-pack=x",
            ],
            expect![[r#"
                "" is not a repository URL: it is empty
                "shop" is not a repository URL: use file:///PATH, https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH
                "ftp://example.com/shop.git" is not a repository URL: use file://, https://, http:// or ssh://
                "git://example.com/shop.git" is not a repository URL: git:// is neither private nor authentic; use https:// or ssh://
                "https://***@example.com/shop.git" is not a repository URL: put user name, password or token into the Secret that secretRef names, not into the URL
                "file://srv/shop.git" is not a repository URL: a file URL has three slashes: file:///srv/shop.git
                "ssh://-oProxyCommand=x/shop" is not a repository URL: a host does not start with a dash
                "https://example.com/shop.git?x=1" is not a repository URL: a repository's URL has no query and no fragment
                "https://***@example.com/shop.git" is not a repository URL: after the host comes at most a port; a password or token goes into the Secret that secretRef names
                "http://***@example.com/shop.git" is not a repository URL: put user name, password or token into the Secret that secretRef names, not into the URL, and use https://
                "***@example.com:shop.git" is not a repository URL: use file:///PATH, https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH
                "https://example.com/shop.git?x" is not a repository URL: it contains control characters
                "/srv/shop.git?x" is not a repository URL: it contains control characters
                "file:///srv/shop%0a.git" is not a repository URL: it contains control characters once its %xx are decoded
                "ssh://***@example.com/shop%00.git" is not a repository URL: it contains control characters once its %xx are decoded
                "-oProxyCommand=x:shop" is not a repository URL: use file:///PATH, https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH
                "--upload-pack=x" is not a repository URL: use file:///PATH, https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH
            "#]],
        );
    }
}
