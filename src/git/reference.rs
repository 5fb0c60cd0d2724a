//! Which commit is meant: a branch, a tag, a range of versions, a commit, or the default branch.

use std::fmt;

use git2::Oid;
use semver::{Version, VersionReq};

use super::{CommitId, GitError};

/// Which commit of a repository is delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reference {
    /// The remote's default branch (its HEAD).
    #[default]
    Default,
    /// A branch's head.
    Branch(String),
    /// A tag, annotated or not.
    Tag(String),
    /// The highest tag in a range, such as `>=1.2, <2`; see [`Range`].
    Semver(String),
    /// A commit.
    Commit(CommitId),
}

/// One line of the remote's answer to "what have you got".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advertised {
    pub name: String,
    pub oid: Oid,
}

/// The commit that a reference means now, and how to ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub commit: CommitId,
    /// The remote's ref that leads there, `None` where only the commit is known.
    pub name: Option<String>,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default branch"),
            Self::Branch(name) => write!(f, "branch \"{name}\""),
            Self::Tag(name) => write!(f, "tag \"{name}\""),
            Self::Semver(range) => write!(f, "tag in the range \"{range}\""),
            Self::Commit(id) => write!(f, "commit {id}"),
        }
    }
}

impl Reference {
    /// Refuses what no repository can answer, before anybody is asked.
    pub fn check(&self) -> Result<(), GitError> {
        let name = match self {
            Self::Default | Self::Commit(_) => return Ok(()),
            Self::Semver(range) => return Range::parse(range).map(|_| ()),
            Self::Branch(name) => format!("refs/heads/{name}"),
            Self::Tag(name) => format!("refs/tags/{name}"),
        };
        if git2::Reference::is_valid_name(&name) {
            return Ok(());
        }
        Err(GitError::BadReference {
            reference: self.to_string(),
            detail: "this is no valid name; write it as `git branch` or `git tag` prints it".into(),
        })
    }

    /// Finds the commit in what the remote advertised.
    pub(super) fn resolve(&self, url: &str, heads: &[Advertised]) -> Result<Target, GitError> {
        if heads.is_empty() {
            return Err(GitError::Empty { url: url.into() });
        }
        let missing = |detail: String| GitError::RefMissing {
            url: url.into(),
            reference: self.to_string(),
            detail,
        };
        match self {
            Self::Default => find(heads, "HEAD").ok_or_else(|| {
                missing(format!(
                    "its HEAD names a branch that does not exist; name one in ref.branch ({})",
                    listed(heads, "refs/heads/")
                ))
            }),
            Self::Branch(name) => find(heads, &format!("refs/heads/{name}")).ok_or_else(|| {
                missing(format!(
                    "it was deleted, or never pushed; {}",
                    listed(heads, "refs/heads/")
                ))
            }),
            Self::Tag(name) => find(heads, &format!("refs/tags/{name}"))
                .ok_or_else(|| missing(listed(heads, "refs/tags/"))),
            Self::Semver(range) => Range::parse(range)?
                .highest(
                    heads
                        .iter()
                        .filter_map(|head| head.name.strip_prefix("refs/tags/"))
                        .filter(|name| !name.ends_with("^{}")),
                )
                .and_then(|tag| find(heads, &format!("refs/tags/{tag}")))
                .ok_or_else(|| missing(listed(heads, "refs/tags/"))),
            Self::Commit(id) => Ok(Target {
                commit: *id,
                name: heads
                    .iter()
                    .find(|head| head.oid == id.oid() && !head.name.ends_with("^{}"))
                    .map(|head| head.name.clone()),
            }),
        }
    }
}

/// A ref's commit: an annotated tag is followed to what it tags (`name^{}`).
fn find(heads: &[Advertised], name: &str) -> Option<Target> {
    let peeled = format!("{name}^{{}}");
    let oid = |wanted: &str| {
        heads
            .iter()
            .find(|head| head.name == wanted)
            .map(|head| head.oid)
    };
    let plain = oid(name)?;
    Some(Target {
        commit: oid(&peeled).unwrap_or(plain).into(),
        name: Some(name.to_owned()),
    })
}

/// What there is instead, for messages.
fn listed(heads: &[Advertised], prefix: &str) -> String {
    const SHOWN: usize = 8;
    let what = match prefix {
        "refs/tags/" => "tags",
        _ => "branches",
    };
    let names: Vec<&str> = heads
        .iter()
        .filter_map(|head| head.name.strip_prefix(prefix))
        .filter(|name| !name.ends_with("^{}"))
        .collect();
    let some: Vec<&str> = names.iter().copied().take(SHOWN).collect();
    match names.len() {
        0 => format!("it has no {what}"),
        n if n > SHOWN => format!("its {what}: {} and {} more", some.join(", "), n - SHOWN),
        _ => format!("its {what}: {}", some.join(", ")),
    }
}

/// A range of versions as GitOps users write it: comparators with comma or blank between
/// them, alternatives with `||`.
///
/// A bare version means that version (`1.2.3`) or that line (`1.2`, `1.x`), not a caret
/// range. A pre-release is only chosen where the range names one of the same version
/// (`>=2.0.0-rc.1` takes `2.0.0-rc.2`, and every later release, but not `2.1.0-rc.1`).
#[derive(Clone, Debug)]
pub struct Range(Vec<VersionReq>);

impl Range {
    /// Reads a range.
    pub fn parse(text: &str) -> Result<Self, GitError> {
        let alternatives: Result<Vec<VersionReq>, semver::Error> = text
            .split("||")
            .map(|part| VersionReq::parse(&normalised(part)))
            .collect();
        alternatives
            .map(Self)
            .map_err(|error| GitError::BadReference {
                reference: format!("semver range \"{text}\""),
                detail: format!("{error}; write something like \">=1.2, <2\" or \"1.4.x\""),
            })
    }

    /// The tag of the highest version in the range; `v1.2.3` and `1.2.3` are both versions.
    pub fn highest<'a>(&self, tags: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        tags.filter_map(|tag| {
            let version = Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()?;
            Some((version, tag))
        })
        .filter(|(version, _)| self.0.iter().any(|range| range.matches(version)))
        // Equal versions (v1.0.0 beside 1.0.0): by name, so that the answer never depends on order.
        .max()
        .map(|(_, tag)| tag)
    }
}

/// `>= 1.2 <2` becomes `>=1.2,<2`, and `1.2` becomes `=1.2`.
fn normalised(text: &str) -> String {
    let mut comparators: Vec<String> = Vec::new();
    let mut operator = String::new();
    for word in text.split([',', ' ', '\t']).filter(|word| !word.is_empty()) {
        let version_at = word
            .find(|c: char| !matches!(c, '<' | '>' | '=' | '~' | '^' | '!'))
            .unwrap_or(word.len());
        let (op, version) = word.split_at(version_at);
        operator.push_str(op);
        if version.is_empty() {
            continue;
        }
        let version = version.strip_prefix('v').unwrap_or(version);
        let wild = version.contains(['*', 'x', 'X']) && !version.contains('-');
        if operator.is_empty() && !wild {
            operator.push('=');
        }
        comparators.push(format!("{operator}{version}"));
        operator.clear();
    }
    comparators.push(operator);
    comparators.retain(|part| !part.is_empty());
    comparators.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(n: u8) -> Oid {
        Oid::from_str(&format!("{n:02x}").repeat(20)).unwrap()
    }

    fn remote(names: &[&str]) -> Vec<Advertised> {
        names
            .iter()
            .zip(1..)
            .map(|(name, n)| Advertised {
                name: (*name).into(),
                oid: oid(n),
            })
            .collect()
    }

    fn highest<'a>(range: &str, tags: &[&'a str]) -> Option<&'a str> {
        Range::parse(range).unwrap().highest(tags.iter().copied())
    }

    #[test]
    fn the_highest_version_wins_whatever_its_prefix() {
        let tags = ["v1.9.0", "1.10.0", "v2.0.0", "latest", "v1.11"];
        assert_eq!(highest(">=1.0, <2", &tags), Some("1.10.0"));
        assert_eq!(highest(">= 1.0 <2", &tags), Some("1.10.0"));
        assert_eq!(highest("1.9.x", &tags), Some("v1.9.0"));
        assert_eq!(highest("*", &tags), Some("v2.0.0"));
        assert_eq!(highest("1.9.0 || 2.x", &tags), Some("v2.0.0"));
        assert_eq!(highest(">=3", &tags), None);
    }

    #[test]
    fn a_bare_version_means_itself_and_not_a_caret_range() {
        let tags = ["1.2.3", "1.2.9", "1.3.0"];
        assert_eq!(highest("1.2.3", &tags), Some("1.2.3"));
        assert_eq!(highest("1.2", &tags), Some("1.2.9"));
        assert_eq!(highest("^1.2.3", &tags), Some("1.3.0"));
    }

    #[test]
    fn a_pre_release_is_taken_only_where_it_is_named() {
        let tags = ["v2.0.0-rc.2", "v1.5.0", "v2.1.0-rc.1"];
        assert_eq!(highest(">=1", &tags), Some("v1.5.0"));
        assert_eq!(highest(">=2.0.0-rc.1", &tags), Some("v2.0.0-rc.2"));
    }

    #[test]
    fn an_annotated_tag_means_the_commit_that_it_tags() {
        let heads = remote(&["HEAD", "refs/tags/v1", "refs/tags/v1^{}"]);
        let target = Reference::Tag("v1".into()).resolve("u", &heads).unwrap();
        assert_eq!(target.commit, oid(3).into());
        assert_eq!(target.name.as_deref(), Some("refs/tags/v1"));
    }

    #[test]
    fn a_deleted_branch_is_named_beside_those_that_are_left() {
        let heads = remote(&["HEAD", "refs/heads/dev", "refs/heads/trunk"]);
        let error = Reference::Branch("main".into())
            .resolve("file:///x", &heads)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "file:///x has no branch \"main\": it was deleted, or never pushed; its branches: dev, trunk"
        );
    }

    #[test]
    fn nonsense_is_refused_before_anybody_is_asked() {
        assert!(Reference::Semver("newest".into()).check().is_err());
        assert!(Reference::Branch("a..b".into()).check().is_err());
        assert!(Reference::Branch("release/1.2".into()).check().is_ok());
    }
}
