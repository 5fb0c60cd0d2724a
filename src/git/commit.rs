//! The name of a commit.

use std::fmt;
use std::str::FromStr;

use git2::Oid;

/// A full commit id (40 hexadecimal digits).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(Oid);

impl CommitId {
    /// The first twelve digits: enough for a person and for a log line.
    pub fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
    }

    pub(super) fn oid(self) -> Oid {
        self.0
    }
}

impl From<Oid> for CommitId {
    fn from(oid: Oid) -> Self {
        Self(oid)
    }
}

impl FromStr for CommitId {
    type Err = NotACommitId;

    fn from_str(text: &str) -> Result<Self, NotACommitId> {
        // Oid::from_str pads what is short with zeros, which would name another commit.
        if text.len() != 40 {
            return Err(NotACommitId(text.to_owned()));
        }
        Oid::from_str(text)
            .map(Self)
            .map_err(|_| NotACommitId(text.to_owned()))
    }
}

/// A text that is not a full commit id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a full commit id: write all 40 hexadecimal digits (`git rev-parse REV`)")]
pub struct NotACommitId(pub String);

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommitId({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_named_in_full_and_printed_short() {
        let id: CommitId = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
        assert_eq!(id.to_string(), "0123456789abcdef0123456789abcdef01234567");
        assert_eq!(id.short(), "0123456789ab");
    }

    #[test]
    fn half_an_id_is_refused_rather_than_padded() {
        assert!("0123456".parse::<CommitId>().is_err());
        assert!("main".parse::<CommitId>().is_err());
    }
}
