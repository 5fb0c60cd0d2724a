//! Keeps the house clean: who may use whom, headers, sizes, words that promise later work.

mod imports;
mod layers;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The table of `docs/architecture.md`: where a room is, and which rooms it may use. What is a
/// package of its own is kept apart by Cargo too.
const ROOMS: &[(&str, &str, &[&str])] = &[
    ("api", "crates/api/src", &[]),
    ("backoff", "src/backoff.rs", &[]),
    ("git", "src/git", &["backoff"]),
    ("manifest", "crates/core/src/manifest", &["api"]),
    ("policy", "crates/core/src/policy", &["api", "manifest"]),
    ("render", "crates/core/src/render", &["api", "manifest"]),
    ("plan", "crates/core/src/plan", &["api", "render"]),
    ("analysis", "crates/core/src/analysis", &["api", "policy"]),
    (
        "rollout",
        "crates/core/src/rollout",
        &["api", "policy", "analysis"],
    ),
    ("presets", "src/presets.rs", &["policy"]),
    (
        "evidence",
        "src/evidence",
        &["api", "policy", "analysis", "presets"],
    ),
    ("cluster", "src/cluster", &["api", "plan", "backoff"]),
    (
        "agent",
        "src/agent",
        &[
            "api", "git", "manifest", "render", "policy", "plan", "analysis", "rollout", "presets",
            "evidence", "cluster", "backoff",
        ],
    ),
    ("apiserver", "crates/apiserver/src", &["api"]),
    ("local", "crates/local/src", &["api", "apiserver"]),
    (
        "cli",
        "src/cli",
        &[
            "api", "git", "manifest", "render", "policy", "plan", "analysis", "rollout", "presets",
            "evidence", "cluster", "backoff", "agent", "local",
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

/// The sources of every package; the integration tests are left out.
fn all_sources() -> Vec<(String, String)> {
    let mut found = sources(&root().join("src"));
    found.extend(sources(&root().join("crates")));
    found
}

/// The rooms named by `crate::ROOM` in a file, or by `sluicegate_ROOM`; doc comments left out.
fn used_rooms(file: &str, text: &str, rooms: &BTreeSet<&str>) -> BTreeSet<String> {
    let below = file.split_once("src/").map_or(file, |(_, below)| below);
    imports::with_tests(&imports::module_of(below), text)
        .into_iter()
        .filter_map(|path| {
            let name = match path.as_slice() {
                [package, name, ..] if package == "sluicegate_core" => name,
                [name, ..] => name,
                [] => return None,
            };
            let name = name.strip_prefix("sluicegate_").unwrap_or(name);
            rooms.contains(name).then(|| name.to_owned())
        })
        .collect()
}

/// The room whose place a file is in, or is; `None` for a package's `lib.rs` and `main.rs`.
fn room_of(file: &str) -> Option<&'static (&'static str, &'static str, &'static [&'static str])> {
    let found = ROOMS.iter().find(|(_, place, _)| {
        file.strip_prefix(place)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    let is_root = file.ends_with("src/lib.rs") || file.ends_with("src/main.rs");
    assert!(
        found.is_some() || is_root,
        "{file} is in no room of the table"
    );
    found
}

#[test]
fn rooms_use_only_the_rooms_that_the_table_allows() {
    let rooms: BTreeSet<&str> = ROOMS.iter().map(|(room, ..)| *room).collect();
    let mut broken = Vec::new();
    for (file, text) in all_sources() {
        let Some((room, place, allowed)) = room_of(&file) else {
            continue;
        };
        // In a package that is one room, `crate::` leads to its own modules, and what it may use of
        // others is in its manifest.
        if is_package(place) {
            continue;
        }
        for used in used_rooms(&file, &text, &rooms) {
            if used != *room && !allowed.contains(&used.as_str()) {
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

/// Whether a room is a package of its own, which has no row among the modules.
fn is_package(place: &str) -> bool {
    place.ends_with("/src")
}

#[test]
fn the_architecture_shows_the_same_table_of_rooms() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let (_, modules) = page.split_once("\n## Modules\n").unwrap();
    let modules = modules.split("\n## ").next().unwrap();
    let mut above = BTreeSet::from(["api"]);
    let mut shown = BTreeSet::new();
    for row in modules.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let place = cells[1].trim_matches('`').trim_end_matches('/');
        let known = ROOMS.iter().find(|(_, known, _)| *known == place);
        let (room, _, allowed) = known.unwrap_or_else(|| panic!("{place} is not in ROOMS"));
        let said: BTreeSet<&str> = match cells[3] {
            "-" => BTreeSet::new(),
            "all above" => above.clone(),
            "all, and the local cluster" => above.iter().copied().chain(["local"]).collect(),
            list => list.split(", ").collect(),
        };
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert_eq!(said, allowed, "what {place} may use: the page, and ROOMS");
        above.insert(room);
        shown.insert(place);
    }
    let places = ROOMS.iter().map(|(_, place, _)| *place);
    let wanted: BTreeSet<&str> = places.filter(|place| !is_package(place)).collect();
    assert_eq!(shown, wanted, "the rows of the page, and of ROOMS");
}

/// Where the deployer names the Kubernetes client; `docs/architecture.md` says what for.
const CLIENTS: &[&str] = &[
    "src/cluster/",
    "src/agent/mod.rs",
    "src/agent/login.rs",
    "src/agent/gateway/",
    "src/cli/",
];

#[test]
fn the_kubernetes_client_is_where_the_architecture_says() {
    let mut found = BTreeSet::new();
    for (file, text) in sources(&root().join("src")) {
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let mut code = code.lines().filter(|line| !line.trim().starts_with("//"));
        if code.any(|line| line.contains("kube::")) {
            let place = CLIENTS.iter().find(|place| file.starts_with(**place));
            found.insert(*place.unwrap_or_else(|| panic!("{file} names the Kubernetes client")));
        }
    }
    assert_eq!(
        found,
        CLIENTS.iter().copied().collect(),
        "as it is, as said"
    );
}

/// The names of all that a package is built and tested from, by `Cargo.lock`.
fn built_from(package: &str) -> BTreeSet<String> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for block in lock.split("[[package]]").skip(1) {
        let mut words = block.split('"').skip(1).step_by(2);
        let name = words.next().unwrap();
        let dependencies = block.split_once("dependencies = [").map(|(_, list)| {
            let names = list.split('"').skip(1).step_by(2);
            names.filter_map(|entry| entry.split(' ').next())
        });
        let of_name = needs.entry(name).or_default();
        of_name.extend(dependencies.into_iter().flatten());
    }
    let mut found = BTreeSet::new();
    let mut open = vec![package];
    while let Some(name) = open.pop() {
        if found.insert(name.to_owned()) {
            open.extend(&needs[name]);
        }
    }
    found
}

#[test]
fn what_decides_is_built_without_a_client_a_runtime_or_tracing() {
    let walls = ["tokio", "hyper", "kube", "kube-client", "tracing"];
    for wall in walls {
        let all = built_from("sluicegate");
        assert!(
            all.contains(wall),
            "{wall} is used by nothing: see the lock"
        );
    }
    for package in ["sluicegate-api", "sluicegate-core"] {
        let used = built_from(package);
        assert!(used.contains("serde_json"), "{package}: {used:?}");
        let through: Vec<&str> = walls.into_iter().filter(|w| used.contains(*w)).collect();
        assert!(through.is_empty(), "{package} is built from {through:?}");
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let mute: Vec<String> = all_sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!") || text.starts_with("//! (room to be filled)"))
        .map(|(file, _)| file)
        .collect();
    assert!(mute.is_empty(), "files without a `//!` header: {mute:?}");
}

#[test]
fn no_file_has_grown_into_two() {
    let large: Vec<String> = all_sources()
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
    let loose: Vec<String> = ["src", "crates", "tests"]
        .iter()
        .flat_map(|folder| sources(&root().join(folder)))
        .filter(|(_, text)| words.iter().any(|word| text.contains(word)) || skipped(text))
        .map(|(file, _)| file)
        .collect();
    assert!(loose.is_empty(), "loose ends: {loose:?}");
}
