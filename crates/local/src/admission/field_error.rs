//! Knative's error model for a refused object: messages with the paths they are about.
//!
//! Equal messages merge into one line that names every path; lines are sorted, so
//! that the text does not depend on the order of the checks (`knative.dev/pkg/apis`).

use std::collections::BTreeMap;
use std::fmt::{self, Display};

/// The path of "this very field": prefixes are put in front of nothing.
pub const CURRENT: &str = "";

/// Whether an item refuses the object or only warns about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Error,
    Warning,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    level: Level,
    message: String,
    paths: Vec<String>,
    details: String,
}

/// What is wrong with an object; empty when nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<Item>);

impl FieldErrors {
    /// Nothing wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// A message about some paths, relative to where it is raised.
    pub fn new(
        message: impl Into<String>,
        paths: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self(vec![Item {
            level: Level::Error,
            message: message.into(),
            paths: paths.into_iter().map(Into::into).collect(),
            details: String::new(),
        }])
    }

    /// A message about one path.
    pub fn at(message: impl Into<String>, path: &str) -> Self {
        Self::new(message, [path])
    }

    /// A message about no path in particular.
    pub fn pathless(message: impl Into<String>) -> Self {
        Self::new(message, Vec::<String>::new())
    }

    /// A required field that is not there.
    pub fn missing(path: &str) -> Self {
        Self::at("missing field(s)", path)
    }

    /// Fields that may not be set here.
    pub fn disallowed(paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::new("must not set the field(s)", paths)
    }

    /// A value that is not acceptable.
    pub fn invalid(value: impl Display, path: &str) -> Self {
        Self::at(format!("invalid value: {value}"), path)
    }

    /// A key that is not acceptable.
    pub fn invalid_key(key: &str, path: &str) -> Self {
        Self::at(format!("invalid key name {key:?}"), path)
    }

    /// A number outside its bounds.
    pub fn out_of_bounds(
        value: impl Display,
        low: impl Display,
        high: impl Display,
        path: &str,
    ) -> Self {
        Self::at(format!("expected {low} <= {value} <= {high}"), path)
    }

    /// None of the fields, one of which must be set.
    pub fn missing_one_of<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new("expected exactly one, got neither", paths)
    }

    /// More than one of the fields, of which only one may be set.
    pub fn multiple_one_of<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new("expected exactly one, got both", paths)
    }

    /// Adds a line under the message.
    pub fn details(mut self, details: impl Into<String>) -> Self {
        let details = details.into();
        for item in &mut self.0 {
            item.details.clone_from(&details);
        }
        self
    }

    /// Turns errors into warnings: the object is taken, the client is told.
    pub fn as_warning(mut self) -> Self {
        for item in &mut self.0 {
            item.level = Level::Warning;
        }
        self
    }

    /// Adds what another check found.
    pub fn also(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Adds what another check found, in place.
    pub fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Puts a field in front of every path.
    pub fn via(mut self, prefix: &str) -> Self {
        for item in &mut self.0 {
            for path in &mut item.paths {
                *path = join(prefix, path);
            }
        }
        self
    }

    /// Puts a list index in front of every path.
    pub fn via_index(self, index: usize) -> Self {
        self.via(&format!("[{index}]"))
    }

    /// Puts `field[index]` in front of every path.
    pub fn via_field_index(self, field: &str, index: usize) -> Self {
        self.via_index(index).via(field)
    }

    /// Splits into what refuses the object and what only warns; each warning is its own text.
    pub fn partition(self) -> (Self, Vec<String>) {
        let (errors, warnings): (Vec<_>, Vec<_>) = self
            .0
            .into_iter()
            .partition(|item| item.level == Level::Error);
        let warnings = Self(warnings).merged();
        (
            Self(errors),
            warnings.iter().map(ToString::to_string).collect(),
        )
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn merged(&self) -> Vec<Item> {
        let mut merged = BTreeMap::<(&str, &str, Level), Vec<String>>::new();
        for item in &self.0 {
            let paths = merged
                .entry((&item.message, &item.details, item.level))
                .or_default();
            for path in &item.paths {
                if !paths.contains(path) {
                    paths.push(path.clone());
                }
            }
        }
        merged
            .into_iter()
            .map(|((message, details, level), mut paths)| {
                paths.sort();
                Item {
                    level,
                    message: message.to_owned(),
                    paths,
                    details: details.to_owned(),
                }
            })
            .collect()
    }
}

impl Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.merged().iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.paths.join(", "))?;
        if !self.details.is_empty() {
            write!(f, "\n{}", self.details)?;
        }
        Ok(())
    }
}

/// Joins path parts: indices stick to the part before them, empty parts vanish.
fn join(prefix: &str, path: &str) -> String {
    let mut joined = String::new();
    for part in prefix.split('.').chain(path.split('.')) {
        if part.is_empty() {
            continue;
        }
        let is_index = part.starts_with('[') && part.ends_with(']');
        if !joined.is_empty() && !is_index {
            joined.push('.');
        }
        joined.push_str(part);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn equal_messages_merge_and_lines_are_sorted() {
        let errors = FieldErrors::missing("image")
            .via_field_index("containers", 1)
            .also(FieldErrors::at(
                "Traffic targets sum to 90, want 100",
                "traffic",
            ))
            .also(FieldErrors::missing("image").via_field_index("containers", 0))
            .via("spec")
            .also(FieldErrors::invalid("x", CURRENT).via("metadata.name"));
        expect![[r#"
            Traffic targets sum to 90, want 100: spec.traffic
            invalid value: x: metadata.name
            missing field(s): spec.containers[0].image, spec.containers[1].image"#]]
        .assert_eq(&errors.to_string());
    }

    #[test]
    fn warnings_do_not_refuse() {
        let (errors, warnings) = FieldErrors::at("insecure", "a")
            .as_warning()
            .also(FieldErrors::at("insecure", "b").as_warning())
            .partition();
        assert!(errors.is_empty());
        assert_eq!(warnings, ["insecure: a, b"]);
    }
}
