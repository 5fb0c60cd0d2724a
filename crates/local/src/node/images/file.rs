//! Reads the `--images` file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use globset::Glob;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::Rule;
use crate::node::permission::Permission;

/// An images file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    /// It cannot be read.
    #[error("cannot read the images file {file}: {source}")]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It does not say what it should.
    #[error("{file}:{line}:{column}: {message}")]
    Content {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What is wrong, and what would be right.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    images: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(rename = "match")]
    pattern: Spanned<String>,
    command: Spanned<Vec<String>>,
    workdir: Option<PathBuf>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default, rename = "passEnv")]
    pass_env: Vec<Spanned<String>>,
    #[serde(default, rename = "allowCommand")]
    allow_command: bool,
}

/// Reads what the file holds, in its order; nothing is in an empty one.
pub(super) fn parse(file: &Path, text: &str) -> Result<Vec<Rule>, ImagesError> {
    let wrong = |location: Option<serde_saphyr::Location>, message: String| ImagesError::Content {
        file: file.to_owned(),
        line: location.map_or(1, |location| location.line()),
        column: location.map_or(1, |location| location.column()),
        message,
    };
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let parsed: File = serde_saphyr::from_str(text).map_err(|error| {
        let error = error.without_snippet();
        wrong(error.location(), without_location(&error.to_string()))
    })?;
    // `parent` of a bare file name is the empty path, which is the current folder.
    let folder = std::path::absolute(file).ok();
    let folder = folder
        .as_deref()
        .and_then(Path::parent)
        .unwrap_or(Path::new("/"));
    let rule = |entry: Entry| {
        let glob = Glob::new(&entry.pattern.value).map_err(|error| {
            let message = format!("`match` is not a glob: {}", error.kind());
            wrong(Some(entry.pattern.referenced), message)
        })?;
        if entry.command.value.first().is_none_or(String::is_empty) {
            let message = "`command` is empty: give the program and its arguments as a list";
            return Err(wrong(Some(entry.command.referenced), message.to_owned()));
        }
        let is_name = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
        if let Some(bad) = entry.pass_env.iter().find(|one| !is_name(&one.value)) {
            let message = format!(
                "`passEnv` lists names of variables, and {:?} is none: give values in `env`",
                bad.value
            );
            return Err(wrong(Some(bad.referenced), message));
        }
        let permission = match entry.allow_command {
            true => Permission::Allowed,
            false => Permission::Entry {
                file: file.to_owned(),
                pattern: entry.pattern.value,
            },
        };
        Ok(Rule {
            glob: glob.compile_matcher(),
            command: entry.command.value,
            workdir: Some(folder.join(entry.workdir.unwrap_or_default())),
            env: entry.env,
            pass_env: entry.pass_env.into_iter().map(|one| one.value).collect(),
            permission,
        })
    };
    parsed.images.into_iter().map(rule).collect()
}

/// The parser's messages end in ` at line X, column Y`; ours begin with it.
fn without_location(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let end = first.find(" at line ").unwrap_or(first.len());
    match first.get(..end).unwrap_or(first) {
        "expected sequence start" => r#"expected a list, like ["PROGRAM", "ARGUMENT"]"#.to_owned(),
        "invalid boolean" => "expected true or false".to_owned(),
        message => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_file_is_told_with_its_line() {
        let mut all = String::new();
        for text in [
            "images:\n  - match: 'a*'\n    comand: [x]\n",
            "images:\n  - match: 'a*'\n    command: []\n",
            "images:\n  - match: 'a[*'\n    command: [x]\n",
            "images:\n  - match: 'a'\n",
            "images:\n  - match: 'a'\n    command: python3 app.py\n",
            "images:\n  - match: 'a'\n    command: [x]\n    allowCommand: sometimes\n",
            "images:\n  - match: 'a'\n    command: [x]\n    passEnv: [LANG, A=1]\n",
            "images: [\n",
        ] {
            let message = parse(Path::new("images.yaml"), text)
                .unwrap_err()
                .to_string();
            all.push_str(&message);
            all.push('\n');
        }
        expect_test::expect![[r#"
            images.yaml:3:5: unknown field `comand`, expected one of match, command, workdir, env, passEnv, allowCommand
            images.yaml:3:14: `command` is empty: give the program and its arguments as a list
            images.yaml:2:12: `match` is not a glob: unclosed character class; missing ']'
            images.yaml:2:5: missing field `command`
            images.yaml:3:14: expected a list, like ["PROGRAM", "ARGUMENT"]
            images.yaml:4:19: expected true or false
            images.yaml:4:21: `passEnv` lists names of variables, and "A=1" is none: give values in `env`
            images.yaml:1:9: unclosed bracket '['
        "#]]
        .assert_eq(&all);
    }
}
