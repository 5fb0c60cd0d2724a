//! Keeps the house clean: who may use whom, headers, sizes, words that promise later work.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The table of `docs/architecture.md`: which rooms a room may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("git", &[]),
    ("manifest", &["api"]),
    ("policy", &["api", "manifest"]),
    ("plan", &["api", "manifest"]),
    ("rollout", &["api", "policy", "health"]),
    ("health", &["api", "policy"]),
    ("cluster", &["api", "plan"]),
    (
        "agent",
        &[
            "api", "git", "manifest", "policy", "plan", "rollout", "health", "cluster",
        ],
    ),
    ("local", &["api"]),
    (
        "cli",
        &[
            "api", "git", "manifest", "policy", "plan", "rollout", "health", "cluster", "agent",
            "local",
        ],
    ),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(below: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![below.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(
        found.len() > 10,
        "the walk found no sources below {}",
        below.display()
    );
    found
}

/// The rooms named by `crate::ROOM` in a file, doc comments left out.
fn used_rooms(text: &str, rooms: &BTreeSet<&str>) -> BTreeSet<String> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let mut used = BTreeSet::new();
    for line in code {
        for part in line.split("crate::").skip(1) {
            let names = part
                .strip_prefix('{')
                .map_or(vec![part], |list| list.split(',').collect());
            for name in names {
                let name: String = name
                    .trim()
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if rooms.contains(name.as_str()) {
                    used.insert(name);
                }
            }
        }
    }
    used
}

#[test]
fn rooms_use_only_the_rooms_that_the_table_allows() {
    let table: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let rooms: BTreeSet<&str> = table.keys().copied().collect();
    let mut broken = Vec::new();
    for (file, text) in sources(&root().join("src")) {
        let Some(room) = file
            .strip_prefix("src/")
            .and_then(|rest| rest.split_once('/'))
            .map(|(room, _)| room)
        else {
            continue;
        };
        let allowed = table
            .get(room)
            .unwrap_or_else(|| panic!("{file}: the room {room} is not in the table"));
        for used in used_rooms(&text, &rooms) {
            if used != room && !allowed.contains(&used.as_str()) {
                broken.push(format!("{file} uses {used}"));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "the table of rooms is broken:\n{}",
        broken.join("\n")
    );
}

#[test]
fn every_file_says_what_it_is_for() {
    let mute: Vec<String> = sources(&root().join("src"))
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!") || text.starts_with("//! (room to be filled)"))
        .map(|(file, _)| file)
        .collect();
    assert!(mute.is_empty(), "files without a `//!` header: {mute:?}");
}

#[test]
fn no_file_has_grown_into_two() {
    let large: Vec<String> = sources(&root().join("src"))
        .into_iter()
        .filter(|(file, text)| !file.ends_with("tests.rs") && text.lines().count() > 600)
        .map(|(file, text)| format!("{file}: {} lines", text.lines().count()))
        .collect();
    assert!(
        large.is_empty(),
        "files past 600 lines, each perhaps two rooms: {large:?}"
    );
}

/// A test that is left out, unless it is the other process of a story that starts it.
fn skipped(text: &str) -> bool {
    let mark = concat!("#[ign", "ore");
    text.lines().any(|line| {
        line.contains(mark)
            && !line.contains("= \"started by ")
            && !line.contains("for hand trials")
    })
}

#[test]
fn nothing_is_promised_for_later() {
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
    ];
    let loose: Vec<String> = ["src", "tests"]
        .iter()
        .flat_map(|folder| sources(&root().join(folder)))
        .filter(|(_, text)| words.iter().any(|word| text.contains(word)) || skipped(text))
        .map(|(file, _)| file)
        .collect();
    assert!(loose.is_empty(), "loose ends: {loose:?}");
}
