//! The layers inside a package: which of its folders may use which, and no large rings of files.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::{self, Names};
use super::{root, sources};

/// A place at the top of a package, and which others it may use.
type Layers = &'static [(&'static str, &'static [&'static str])];

/// The embedded API server, from the bottom up.
const APISERVER: Layers = &[
    ("json", &[]),
    ("private", &[]),
    ("schema", &["json"]),
    ("patch", &["json", "schema"]),
    ("ssa", &["json", "schema"]),
    ("builtin", &["json", "schema"]),
    ("model", &["json", "schema", "ssa", "builtin"]),
    ("store", &["json", "private", "model"]),
    ("wire", &["json", "schema", "model", "store"]),
    (
        "state",
        &["json", "schema", "ssa", "model", "store", "wire"],
    ),
    ("read", &["json", "model", "store", "wire", "state"]),
    (
        "write",
        &[
            "json", "schema", "patch", "ssa", "builtin", "model", "store", "wire", "state",
        ],
    ),
    (
        "server",
        &[
            "json", "private", "model", "store", "wire", "state", "read", "write",
        ],
    ),
];

/// The embedded cluster on it; `apiserver` is the package below, whose parts few need to know.
const LOCAL: Layers = &[
    ("child_name", &[]),
    ("data_dir", &["apiserver"]),
    ("privacy", &[]),
    ("pod_requests", &[]),
    ("admission", &["apiserver", "child_name"]),
    ("knative", &["apiserver", "admission"]),
    ("controllers", &["admission", "child_name"]),
    ("gateway", &["controllers", "pod_requests"]),
    ("autoscaler", &["admission", "controllers", "gateway"]),
    ("node", &["apiserver", "pod_requests", "privacy"]),
    ("samples", &["node"]),
    (
        "cluster",
        &[
            "apiserver",
            "knative",
            "controllers",
            "gateway",
            "autoscaler",
            "node",
            "data_dir",
        ],
    ),
];

/// How many files may import each other in a ring.
const RING: usize = 5;

/// A package's files without its tests: the module that each is, and where its code leads to.
fn package(name: &str) -> BTreeMap<Names, BTreeSet<Names>> {
    let below = root().join("crates").join(name).join("src");
    let place = format!("crates/{name}/src/");
    sources(&below)
        .into_iter()
        .filter_map(|(file, text)| {
            let module = imports::module_of(file.strip_prefix(&place)?);
            let is_test = |name: &String| name.ends_with("tests") || name == "stories";
            let found = imports::of(&module, &text);
            (!module.iter().any(is_test)).then_some((module, found))
        })
        .collect()
}

fn misuses(package: &BTreeMap<Names, BTreeSet<Names>>, layers: Layers) -> Vec<String> {
    let table: BTreeMap<&str, &[&str]> = layers.iter().copied().collect();
    let mut broken = Vec::new();
    for (module, paths) in package {
        let Some(own) = module.first() else {
            continue;
        };
        let Some(allowed) = table.get(own.as_str()) else {
            broken.push(format!("{own} is in no layer of the table"));
            continue;
        };
        let used = paths.iter().filter_map(|path| path.first());
        for used in used.collect::<BTreeSet<_>>() {
            let used = used.strip_prefix("sluicegate_").unwrap_or(used);
            let is_below = table.contains_key(used) || used == "apiserver";
            if is_below && used != own && !allowed.contains(&used) {
                broken.push(format!("{} uses {used}", module.join("::")));
            }
        }
    }
    broken
}

/// The rings of files that import each other, the largest first.
fn rings(package: &BTreeMap<Names, BTreeSet<Names>>) -> Vec<Vec<String>> {
    let modules: Vec<&Names> = package.keys().collect();
    let file_of = |path: &Names| {
        (0..=path.len())
            .rev()
            .find_map(|end| modules.binary_search(&&path[..end].to_vec()).ok())
    };
    let edges: Vec<BTreeSet<usize>> = package
        .values()
        .map(|paths| paths.iter().filter_map(file_of).collect())
        .collect();
    let reached: Vec<BTreeSet<usize>> = (0..modules.len())
        .map(|from| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
            while let Some(at) = open.pop() {
                open.extend(edges[at].iter().copied().filter(|next| seen.insert(*next)));
            }
            seen
        })
        .collect();
    let mut found: BTreeSet<Vec<usize>> = BTreeSet::new();
    for from in 0..modules.len() {
        let ring: Vec<usize> = (0..modules.len())
            .filter(|to| reached[from].contains(to) && reached[*to].contains(&from))
            .collect();
        if ring.len() > 1 {
            found.insert(ring);
        }
    }
    let mut found: Vec<Vec<String>> = found
        .into_iter()
        .map(|ring| ring.iter().map(|at| modules[*at].join("/")).collect())
        .collect();
    found.sort_by_key(|ring| std::cmp::Reverse(ring.len()));
    found
}

fn holds(name: &str, layers: Layers) {
    let package = package(name);
    let broken = misuses(&package, layers);
    assert!(
        broken.is_empty(),
        "the layers of crates/{name} are broken:\n{}",
        broken.join("\n")
    );
    let rings = rings(&package);
    let largest = rings.first().map_or(0, Vec::len);
    assert!(
        largest <= RING,
        "{largest} files of crates/{name} import each other in a ring, and {RING} may: {}",
        rings[0].join(", ")
    );
}

#[test]
fn the_layers_of_the_api_server_hold() {
    holds("apiserver", APISERVER);
}

#[test]
fn the_layers_of_the_local_cluster_hold() {
    holds("local", LOCAL);
}

#[test]
fn the_api_server_knows_nothing_of_knative() {
    let told: Vec<String> = sources(&root().join("crates/apiserver/src"))
        .into_iter()
        .filter(|(_, text)| text.to_lowercase().contains("knative"))
        .map(|(file, _)| file)
        .collect();
    assert!(told.is_empty(), "files that name Knative: {told:?}");
}

#[test]
fn a_ring_and_a_use_of_what_is_above_are_found() {
    let names = |path: &str| -> Names { path.split("::").map(str::to_owned).collect() };
    let package = BTreeMap::from([
        (names("json::a"), BTreeSet::from([names("json::b::B")])),
        (names("json::b"), BTreeSet::from([names("wire::c")])),
        (names("wire::c"), BTreeSet::from([names("json::a")])),
        (names("wire::d"), BTreeSet::from([names("json::a")])),
    ]);
    assert_eq!(rings(&package), [["json/a", "json/b", "wire/c"]]);
    assert_eq!(misuses(&package, APISERVER), ["json::b uses wire"]);
}
