//! What a file imports: its `use` statements, however many lines they take, and the paths in its code.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

/// A path of names, from the root of the package.
pub type Names = Vec<String>;

/// The module that a file below a package's `src` is.
pub fn module_of(file: &str) -> Names {
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    match stem {
        "lib" | "main" | "mod" => Vec::new(),
        stem => stem.split('/').map(str::to_owned).collect(),
    }
}

/// How a file's own tests begin.
const TESTS: &str = "#[cfg(test)]\nmod tests {";

/// The paths that a file's code leads to: into its own package from the package's root, into another
/// one from the name of that package. Comments and a module `tests` at its end are left out.
pub fn of(module: &[String], text: &str) -> BTreeSet<Names> {
    paths(
        module,
        text.split_once(TESTS).map_or(text, |(code, _)| code),
    )
}

/// The same, with what the tests at its end lead to.
pub fn with_tests(module: &[String], text: &str) -> BTreeSet<Names> {
    let mut found = of(module, text);
    if let Some((_, tests)) = text.split_once(TESTS) {
        let inner: Names = module.iter().cloned().chain(["tests".to_owned()]).collect();
        found.extend(paths(&inner, tests));
    }
    found
}

fn paths(module: &[String], text: &str) -> BTreeSet<Names> {
    static USE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?m)^\s*(?:pub(?:\([^)]*\))?\s+)?use\s+([^;]+);").unwrap());
    static INLINE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b(?:crate|super|sluicegate_\w+)(?:::\w+)+").unwrap());
    let code = code(text);
    let statements = USE.captures_iter(&code).flat_map(|found| {
        let tree: String = found[1].split_whitespace().collect::<Vec<_>>().join(" ");
        leaves(&tree)
    });
    let body = USE.replace_all(&code, "");
    let inline = INLINE.find_iter(&body).map(|found| names(found.as_str()));
    statements
        .chain(inline)
        .filter_map(|path| absolute(module, &path))
        .collect()
}

fn code(text: &str) -> String {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn names(path: &str) -> Names {
    path.split("::")
        .map(|name| name.trim().to_owned())
        .collect()
}

/// The paths that a tree of `use` names: `a::{b, c::{self, D as E}}` is `a::b`, `a::c` and `a::c::D`.
fn leaves(tree: &str) -> Vec<Names> {
    let Some((before, list)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree);
        return vec![names(path)];
    };
    let list = list.trim().strip_suffix('}').unwrap_or(list);
    let before: Names = names(before)
        .into_iter()
        .filter(|name| !name.is_empty())
        .collect();
    let mut found = Vec::new();
    for part in parts(list) {
        for leaf in leaves(part) {
            let leaf = leaf.into_iter().filter(|name| name != "self");
            found.push(before.iter().cloned().chain(leaf).collect());
        }
    }
    found
}

/// The parts of a list in braces, lists within it kept whole.
fn parts(list: &str) -> Vec<&str> {
    let (mut found, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&list[start..]);
    found.retain(|part| !part.trim().is_empty());
    found.into_iter().map(str::trim).collect()
}

/// A path as it is written in a module, from the root; `None` where it is of the standard library or
/// a foreign package.
fn absolute(module: &[String], path: &[String]) -> Option<Names> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some(module.iter().chain(rest).cloned().collect()),
        "super" => {
            let ups = path.iter().take_while(|name| *name == "super").count();
            let kept = module.len().checked_sub(ups)?;
            Some(module[..kept].iter().chain(&path[ups..]).cloned().collect())
        }
        name if name.starts_with("sluicegate_") => Some(path.to_vec()),
        _ => None,
    }
}

#[test]
fn a_use_statement_is_read_over_its_lines() {
    let text = "\
//! use crate::comment;
use std::fmt;
use crate::model::{
    resource::{self, Resource},
    status::ApiError as Error,
};
pub(crate) use super::call::Call;
use sluicegate_api::quantity;

fn f() {
    super::super::json::object::name(crate::wire::path::of());
}
#[cfg(test)]
mod tests {
    use crate::server::Server;
}
";
    let found: Vec<String> = of(&names("write::scale"), text)
        .into_iter()
        .map(|path| path.join("::"))
        .collect();
    assert_eq!(
        found,
        [
            "json::object::name",
            "model::resource",
            "model::resource::Resource",
            "model::status::ApiError",
            "sluicegate_api::quantity",
            "wire::path::of",
            "write::call::Call",
        ]
    );
    let with_tests = with_tests(&names("write::scale"), text);
    assert!(with_tests.contains(&names("server::Server")));
    assert_eq!(module_of("write/scale/mod.rs"), ["write", "scale"]);
}
