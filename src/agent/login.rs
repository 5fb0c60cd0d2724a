//! The credentials of one repository: read from the Secret that its Delivery names, and again
//! when they may have changed.
//!
//! Secrets are not watched: the agent may `get` those of some namespaces and list none. So the
//! Secret is read again whenever the remote does not take what is known, when a person asks for
//! a look, and every few minutes.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::core::Request;
use kube::{Client, Resource};
use serde_json::Value;

use crate::api::delivery::CREDENTIALS_LABEL;
use crate::git::Credentials;

/// How long credentials that work are used before their Secret is read again.
const AGAIN: Duration = Duration::from_secs(300);
/// How long credentials are used whose Secret is gone, or may not be read any more.
const GRACE: Duration = Duration::from_secs(600);
/// An API server that does not answer in this time does not hold up a look any longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there are no credentials, or no new ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// There is no such Secret, or the agent may not read it.
    #[error("Secret {name} of the repository cannot be read: {words}")]
    Refused {
        /// The Secret.
        name: String,
        /// The API server's words.
        words: String,
    },
    /// The API server does not answer.
    #[error("Secret {name} of the repository cannot be read: {words}")]
    Unavailable {
        /// The Secret.
        name: String,
        /// What happened.
        words: String,
    },
    /// Its owner has not said that it is for Git.
    #[error(
        "Secret {name} may not be used for Git: it has no label {CREDENTIALS_LABEL}=true; whoever owns it allows it by `kubectl label secret {name} {CREDENTIALS_LABEL}=true -n {namespace}`"
    )]
    NotAllowed {
        /// The Secret.
        name: String,
        /// Its namespace.
        namespace: String,
    },
    /// Its entries are no credentials.
    #[error("Secret {name}: {words}")]
    Malformed {
        /// The Secret.
        name: String,
        /// Which entry, and why; never its value.
        words: String,
    },
}

impl LoginError {
    /// One word for conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Refused { .. } | Self::Unavailable { .. } => "CredentialsNotRead",
            Self::NotAllowed { .. } => "CredentialsNotAllowed",
            Self::Malformed { .. } => "InvalidCredentials",
        }
    }

    /// Whether waiting may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// The credentials of one repository.
pub struct Login {
    client: Client,
    namespace: String,
    /// The Secret; `None` where the Delivery names none.
    secret: Option<String>,
    known: Known,
}

impl Login {
    /// Nothing is read yet.
    pub fn new(client: Client, namespace: &str, secret: Option<String>) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            secret,
            known: Known::default(),
        }
    }

    /// What the remote is shown; or why there is nothing to show.
    pub fn credentials(&self) -> Result<Credentials, LoginError> {
        match (&self.known.credentials, &self.known.trouble) {
            _ if self.secret.is_none() => Ok(Credentials::default()),
            (Some(credentials), _) => Ok(credentials.clone()),
            (None, Some(trouble)) => Err(trouble.clone()),
            (None, None) => Err(LoginError::Unavailable {
                name: self.secret.clone().unwrap_or_default(),
                words: "it was not read yet".to_owned(),
            }),
        }
    }

    /// What is wrong with the Secret, whether or not what is known of it still serves.
    pub fn trouble(&self) -> Option<&LoginError> {
        self.known.trouble.as_ref()
    }

    /// Whether there is a Secret at all.
    pub fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// Reads the Secret where it is time to, or `asked` for; see [`Login::read`].
    pub async fn refresh(&mut self, asked: bool) -> bool {
        (asked || self.known.is_due(Instant::now())) && self.read().await
    }

    /// Reads the Secret; `true` when that changed what is known of it.
    pub async fn read(&mut self) -> bool {
        let Some(name) = self.secret.clone() else {
            return false;
        };
        let read = self.get(&name).await;
        self.known.take(read, Instant::now())
    }

    async fn get(&self, name: &str) -> Result<Credentials, LoginError> {
        let unavailable = |words: String| LoginError::Unavailable {
            name: name.to_owned(),
            words,
        };
        let requests = Request::new(Secret::url_path(&(), Some(&self.namespace)));
        let request = requests
            .get(name, &kube::api::GetParams::default())
            .map_err(|error| unavailable(error.to_string()))?;
        // Not as a `Secret`: the client logs what it cannot decode.
        let answer = tokio::time::timeout(PATIENCE, self.client.request::<Value>(request)).await;
        let secret = match answer {
            Ok(Ok(secret)) => secret,
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 403 | 404) => {
                return Err(LoginError::Refused {
                    name: name.to_owned(),
                    words: status.message,
                });
            }
            Ok(Err(kube::Error::Api(status))) => return Err(unavailable(status.message)),
            Ok(Err(kube::Error::SerdeError(_))) => {
                return Err(unavailable("the answer is no JSON".to_owned()));
            }
            Ok(Err(error)) => return Err(unavailable(error.to_string())),
            Err(_) => {
                let words = format!("no answer within {} s", PATIENCE.as_secs());
                return Err(unavailable(words));
            }
        };
        decode(secret, name, &self.namespace)
    }
}

fn decode(secret: Value, name: &str, namespace: &str) -> Result<Credentials, LoginError> {
    let malformed = |words: String| LoginError::Malformed {
        name: name.to_owned(),
        words,
    };
    let label = secret
        .pointer("/metadata/labels")
        .and_then(|labels| labels.get(CREDENTIALS_LABEL));
    if label.and_then(Value::as_str) != Some("true") {
        return Err(LoginError::NotAllowed {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        });
    }
    let secret: Secret = serde_json::from_value(secret)
        .map_err(|_| malformed("its data cannot be decoded".to_owned()))?;
    let data = secret.data.unwrap_or_default();
    let entries = data
        .into_iter()
        .map(|(name, value)| (name, value.0))
        .collect();
    Credentials::from_entries(&entries).map_err(|error| malformed(error.to_string()))
}

/// What was read, and when.
#[derive(Default)]
struct Known {
    credentials: Option<Credentials>,
    read: Option<Instant>,
    trouble: Option<LoginError>,
    /// Since when the Secret is gone or may not be read.
    refused: Option<Instant>,
}

impl Known {
    fn is_due(&self, now: Instant) -> bool {
        let fresh = |read: Instant| now.saturating_duration_since(read) < AGAIN;
        self.trouble.is_some() || !self.read.is_some_and(fresh)
    }

    /// Takes in what a look at the Secret came to; `true` when that is something new.
    fn take(&mut self, read: Result<Credentials, LoginError>, now: Instant) -> bool {
        let before = (self.credentials.clone(), self.trouble.clone());
        self.read = Some(now);
        match read {
            Ok(credentials) => {
                self.credentials = Some(credentials);
                self.trouble = None;
                self.refused = None;
            }
            Err(error) => {
                let refused = match &error {
                    LoginError::Refused { .. } => Some(*self.refused.get_or_insert(now)),
                    // Nothing is known of whether it is there.
                    LoginError::Unavailable { .. } => self.refused,
                    LoginError::NotAllowed { .. } | LoginError::Malformed { .. } => {
                        self.refused = None;
                        None
                    }
                };
                let over =
                    refused.is_some_and(|since| now.saturating_duration_since(since) >= GRACE);
                if over || matches!(error, LoginError::NotAllowed { .. }) {
                    self.credentials = None;
                }
                self.trouble = Some(error);
            }
        }
        before != (self.credentials.clone(), self.trouble.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn token(token: &str) -> Credentials {
        Credentials {
            password: Some(token.to_owned()),
            ..Credentials::default()
        }
    }

    fn gone() -> LoginError {
        LoginError::Refused {
            name: "login".into(),
            words: "secrets \"login\" not found".into(),
        }
    }

    fn away() -> LoginError {
        LoginError::Unavailable {
            name: "login".into(),
            words: "no answer".into(),
        }
    }

    fn not_allowed() -> LoginError {
        LoginError::NotAllowed {
            name: "login".into(),
            namespace: "shop".into(),
        }
    }

    #[test]
    fn a_secret_that_works_is_read_every_few_minutes_and_one_in_trouble_at_once() {
        let start = Instant::now();
        let mut known = Known::default();
        assert!(known.is_due(start), "nothing is known yet");
        assert!(known.take(Ok(token("a")), start));
        assert!(!known.is_due(start + AGAIN / 2));
        assert!(known.is_due(start + AGAIN));
        assert!(!known.take(Ok(token("a")), start + AGAIN), "nothing new");
        assert!(known.take(Err(gone()), start + AGAIN * 2));
        assert!(known.is_due(start + AGAIN * 2));
        assert!(!known.take(Err(gone()), start + AGAIN * 2));
    }

    #[test]
    fn credentials_outlive_their_secret_for_a_while_and_a_server_that_is_away_for_longer() {
        let start = Instant::now();
        let mut known = Known::default();
        known.take(Ok(token("a")), start);
        known.take(Err(gone()), start);
        known.take(Err(away()), start + GRACE / 2);
        assert_eq!(known.credentials, Some(token("a")));
        assert!(known.take(Err(gone()), start + GRACE));
        assert_eq!(known.credentials, None, "it was taken away for good");
        assert!(known.take(Ok(token("b")), start + GRACE));
        assert_eq!(
            (&known.credentials, &known.trouble),
            (&Some(token("b")), &None)
        );
        known.take(Err(away()), start + GRACE * 9);
        known.take(Err(gone()), start + GRACE * 10);
        assert_eq!(known.credentials, Some(token("b")), "gone only just now");
    }

    #[test]
    fn a_secret_whose_owner_takes_the_label_away_is_used_no_longer() {
        let start = Instant::now();
        let mut known = Known::default();
        known.take(Ok(token("a")), start);
        assert!(known.take(Err(not_allowed()), start));
        assert_eq!(known.credentials, None);
        let said = not_allowed().to_string();
        assert!(
            said.contains("kubectl label secret login sluice.dev/git-credentials=true -n shop"),
            "{said}"
        );
    }

    #[test]
    fn only_a_labelled_secret_is_read_and_a_malformed_one_shows_nothing() {
        let secret = |label: &str, data: Value| {
            let value = json!({"apiVersion": "v1", "kind": "Secret", "data": data, "metadata":
                {"name": "login", "labels": {"sluice.dev/git-credentials": label}}});
            decode(value, "login", "shop")
        };
        let good = json!({"token": "aHVudGVyMg=="});
        assert_eq!(secret("true", good.clone()), Ok(token("hunter2")));
        for label in ["false", "", "yes"] {
            assert_eq!(secret(label, good.clone()), Err(not_allowed()));
        }
        let bare = json!({"kind": "Secret", "data": good, "metadata": {"name": "login"}});
        assert_eq!(decode(bare, "login", "shop"), Err(not_allowed()));
        for data in [
            json!({"token": "hunter2!"}),
            json!({"token": 918273645}),
            json!("hunter2!"),
        ] {
            let error = secret("true", data).unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(
                !said.contains("hunter2") && !said.contains("9182"),
                "{said}"
            );
            assert_eq!(error.reason(), "InvalidCredentials");
        }
    }
}
