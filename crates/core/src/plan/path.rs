//! Where in an object something is.

use std::fmt;

use serde_json::Value;

/// A path to a field.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(pub Vec<PathStep>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathStep {
    /// Into a map.
    Field(String),
    /// Into a list, by position.
    Index(usize),
    /// Into a list, by the element's name or port.
    Key(String),
}

impl FieldPath {
    /// A path of map keys.
    pub fn fields(names: &[&str]) -> Self {
        Self(
            names
                .iter()
                .map(|n| PathStep::Field((*n).to_owned()))
                .collect(),
        )
    }

    /// Whether the path begins with these map keys.
    pub fn starts_with(&self, names: &[&str]) -> bool {
        self.0.len() >= names.len()
            && names
                .iter()
                .zip(&self.0)
                .all(|(name, step)| matches!(step, PathStep::Field(field) if field == name))
    }

    /// Whether a FieldsV1 has this path or owns something above it as a whole. Inside
    /// a list, owning the list counts.
    pub fn is_in(&self, fields: &Value) -> bool {
        let mut at = fields;
        for (depth, step) in self.0.iter().enumerate() {
            let whole = at.as_object().is_some_and(|below| below.is_empty());
            if whole && depth > 0 {
                return true;
            }
            match step {
                PathStep::Field(name) => match at.get(format!("f:{name}")) {
                    Some(below) => at = below,
                    None => return false,
                },
                PathStep::Index(_) | PathStep::Key(_) => return true,
            }
        }
        true
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                PathStep::Field(name) if name.contains(['.', '/']) => write!(f, "[{name}]")?,
                PathStep::Field(name) if at == 0 => f.write_str(name)?,
                PathStep::Field(name) => write!(f, ".{name}")?,
                PathStep::Index(index) => write!(f, "[{index}]")?,
                PathStep::Key(key) => write!(f, "[{key}]")?,
            }
        }
        Ok(())
    }
}
