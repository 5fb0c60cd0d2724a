//! Documents name files, folders and tests that exist, and their links lead somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A word in code marks that begins with one of these is a path from the repository's root.
const TOP: [&str; 9] = [
    ".ci/",
    ".github/",
    "benches/",
    "crates/",
    "deploy/",
    "docs/",
    "policies/",
    "src/",
    "tests/",
];
/// A word in code marks of this many parts joined by `_` is the name of a test.
const PARTS: usize = 6;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a folder whose names end so.
fn files(below: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![below.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|known| known == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn documents() -> Vec<(PathBuf, String)> {
    let mut found = files(&root().join("docs"), "md");
    found.extend(["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root().join(name)));
    let texts = found.into_iter().map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    });
    texts.collect()
}

/// What stands between backquotes, line by line, blocks of code left out.
fn code_words(text: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            block = !block;
        } else if !block {
            words.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    words
}

#[test]
fn paths_in_documents_exist() {
    let mut missing = Vec::new();
    let mut seen = 0;
    for (document, text) in documents() {
        for word in code_words(&text) {
            let is_path = TOP.iter().any(|top| word.starts_with(top))
                && !word.contains([' ', '*', '{', '(', ':']);
            if is_path {
                seen += 1;
                if !root().join(&word).exists() {
                    missing.push(format!("{}: {word}", document.display()));
                }
            }
        }
    }
    assert!(seen > 100, "the documents were read: {seen} paths");
    assert!(missing.is_empty(), "not found:\n{}", missing.join("\n"));
}

#[test]
fn tests_in_documents_exist() {
    let mut code = String::new();
    for folder in ["src", "crates", "tests/suite"] {
        for file in files(&root().join(folder), "rs") {
            code.push_str(&fs::read_to_string(file).unwrap());
        }
    }
    let mut missing = Vec::new();
    let mut seen = 0;
    for (document, text) in documents() {
        for word in code_words(&text) {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let is_test = word.chars().all(plain) && word.split('_').count() >= PARTS;
            // Names of metrics have as many parts.
            if is_test && !word.starts_with("sluice_") {
                seen += 1;
                if !code.contains(&format!("fn {word}(")) {
                    missing.push(format!("{}: {word}", document.display()));
                }
            }
        }
    }
    assert!(seen > 10, "the documents were read: {seen} tests");
    assert!(missing.is_empty(), "not found:\n{}", missing.join("\n"));
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for (document, text) in documents() {
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'));
        for (target, _) in targets {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            seen += 1;
            if !document.parent().unwrap().join(file).exists() {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(seen > 20, "the documents were read: {seen} links");
    assert!(broken.is_empty(), "not found:\n{}", broken.join("\n"));
}
