//! What a remote wants to see before it hands out a repository.

use std::collections::BTreeMap;
use std::fmt;

/// An entry of credentials is not text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry \"{name}\" is not text (UTF-8)")]
pub struct EntryNotText {
    /// The entry's name.
    pub name: String,
    /// Where it stops being text.
    #[source]
    pub source: std::str::Utf8Error,
}

/// Credentials for one repository; all optional. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// User name for http(s).
    pub username: Option<String>,
    /// Password or access token for http(s), sent as basic authentication: with a token
    /// any user name does on most forges, so none need be given there.
    pub password: Option<String>,
    /// Token sent as `Authorization: Bearer`.
    pub bearer_token: Option<String>,
    /// Certificates (PEM) that are trusted beside the public roots.
    pub ca_bundle: Option<String>,
    /// Private key (OpenSSH or PEM) for ssh.
    pub identity: Option<String>,
    /// Passphrase of the private key.
    pub passphrase: Option<String>,
    /// Lines of a known_hosts file.
    pub known_hosts: Option<String>,
}

impl Credentials {
    /// Reads named entries: `username`, `password` or `token`, `bearerToken`, `caBundle`,
    /// `identity`, `passphrase`, `knownHosts`; `ca.crt` and `known_hosts` are understood too.
    ///
    /// The error names the entry that is not text.
    pub fn from_entries(entries: &BTreeMap<String, Vec<u8>>) -> Result<Self, EntryNotText> {
        let text = |names: &[&str]| -> Result<Option<String>, EntryNotText> {
            for name in names {
                if let Some(bytes) = entries.get(*name) {
                    return std::str::from_utf8(bytes)
                        .map(|text| Some(text.to_owned()))
                        .map_err(|source| EntryNotText {
                            name: (*name).to_owned(),
                            source,
                        });
                }
            }
            Ok(None)
        };
        // A trailing newline from `echo TOKEN | base64` is the most common broken Secret.
        let word = |names: &[&str]| text(names).map(|v| v.map(|v| v.trim().to_owned()));
        Ok(Self {
            username: word(&["username"])?,
            password: word(&["password", "token"])?,
            bearer_token: word(&["bearerToken"])?,
            ca_bundle: text(&["caBundle", "ca.crt"])?,
            identity: text(&["identity"])?,
            passphrase: text(&["passphrase"])?.map(|p| p.trim_end_matches(['\r', '\n']).to_owned()),
            known_hosts: text(&["knownHosts", "known_hosts"])?,
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = [
            ("username", self.username.is_some()),
            ("password", self.password.is_some()),
            ("bearerToken", self.bearer_token.is_some()),
            ("caBundle", self.ca_bundle.is_some()),
            ("identity", self.identity.is_some()),
            ("passphrase", self.passphrase.is_some()),
            ("knownHosts", self.known_hosts.is_some()),
        ];
        f.write_str("Credentials")?;
        f.debug_list()
            .entries(given.iter().filter(|(_, is)| *is).map(|(name, _)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_by_its_names_and_never_printed() {
        let entries = BTreeMap::from([
            ("username".to_owned(), b"bot".to_vec()),
            ("token".to_owned(), b"s3cret\n".to_vec()),
            ("ca.crt".to_owned(), b"PEM".to_vec()),
        ]);
        let credentials = Credentials::from_entries(&entries).unwrap();
        assert_eq!(credentials.password.as_deref(), Some("s3cret"));
        assert_eq!(credentials.ca_bundle.as_deref(), Some("PEM"));
        assert_eq!(
            format!("{credentials:?}"),
            r#"Credentials["username", "password", "caBundle"]"#
        );
    }

    #[test]
    fn an_entry_that_is_not_text_is_named() {
        let entries = BTreeMap::from([("identity".to_owned(), vec![0xff, 0xfe])]);
        assert!(
            Credentials::from_entries(&entries)
                .unwrap_err()
                .to_string()
                .contains("identity")
        );
    }
}
