//! Sets of field paths.

use std::cmp::Ordering;
use std::fmt;

use super::path::{Path, PathElement};
use crate::schema::TypeRef;

/// A set of field paths, as a tree. Being a member and having members below are two
/// things: `spec` may be owned, or only something in it, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    /// Sorted.
    members: Vec<PathElement>,
    /// Sorted; never with an empty set.
    children: Vec<(PathElement, Set)>,
}

impl Set {
    /// A set of these paths.
    pub fn from_paths(paths: impl IntoIterator<Item = Path>) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.insert(&path.0);
        }
        set
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.is_empty()
    }

    /// How many paths are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        let below: usize = self.children.iter().map(|(_, child)| child.len()).sum();
        self.members.len() + below
    }

    /// Adds a path; the empty path (the whole object) is never owned.
    pub fn insert(&mut self, path: &[PathElement]) {
        match path {
            [] => {}
            [last] => self.add_member(last.clone()),
            [first, rest @ ..] => match find(&self.children, first) {
                Ok(at) => {
                    if let Some((_, child)) = self.children.get_mut(at) {
                        child.insert(rest);
                    }
                }
                Err(at) => {
                    let mut child = Self::default();
                    child.insert(rest);
                    self.children.insert(at, (first.clone(), child));
                }
            },
        }
    }

    /// Whether this very path is in the set.
    #[must_use]
    pub fn contains(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.has_member(last),
            [first, rest @ ..] => self.child(first).is_some_and(|child| child.contains(rest)),
        }
    }

    pub(super) fn add_member(&mut self, element: PathElement) {
        // Walks come in order nearly always.
        match self.members.last() {
            Some(last) if *last >= element => {
                if let Err(at) = self.members.binary_search(&element) {
                    self.members.insert(at, element);
                }
            }
            _ => self.members.push(element),
        }
    }

    pub(super) fn add_child(&mut self, element: PathElement, child: Self) {
        if child.is_empty() {
            return;
        }
        match self.children.last() {
            Some((last, _)) if *last >= element => match find(&self.children, &element) {
                Ok(at) => {
                    if let Some((_, existing)) = self.children.get_mut(at) {
                        *existing = existing.union(&child);
                    }
                }
                Err(at) => self.children.insert(at, (element, child)),
            },
            _ => self.children.push((element, child)),
        }
    }

    pub(super) fn members(&self) -> &[PathElement] {
        &self.members
    }

    pub(super) fn children(&self) -> &[(PathElement, Self)] {
        &self.children
    }

    pub(super) fn has_member(&self, element: &PathElement) -> bool {
        self.members.binary_search(element).is_ok()
    }

    /// What is in the set below an element.
    pub(super) fn child(&self, element: &PathElement) -> Option<&Self> {
        let at = find(&self.children, element).ok()?;
        self.children.get(at).map(|(_, child)| child)
    }

    /// All paths, members before what is below them.
    #[must_use]
    pub fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, prefix: &mut Vec<PathElement>, paths: &mut Vec<Path>) {
        for member in &self.members {
            let mut path = prefix.clone();
            path.push(member.clone());
            paths.push(Path(path));
        }
        for (element, child) in &self.children {
            prefix.push(element.clone());
            child.collect(prefix, paths);
            prefix.pop();
        }
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if self.is_empty() {
            return other.clone();
        }
        if other.is_empty() {
            return self.clone();
        }
        let mut members = Vec::with_capacity(self.members.len().max(other.members.len()));
        zip(
            &self.members,
            &other.members,
            |e| e,
            |left, right| {
                members.extend(left.or(right).cloned());
            },
        );
        let mut children = Vec::with_capacity(self.children.len().max(other.children.len()));
        zip(&self.children, &other.children, key, |left, right| {
            match (left, right) {
                (Some((element, left)), Some((_, right))) => {
                    children.push((element.clone(), left.union(right)));
                }
                (one, another) => children.extend(one.or(another).cloned()),
            }
        });
        Self { members, children }
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut result = Self::default();
        zip(
            &self.members,
            &other.members,
            |e| e,
            |left, right| {
                if let (Some(element), Some(_)) = (left, right) {
                    result.members.push(element.clone());
                }
            },
        );
        zip(&self.children, &other.children, key, |left, right| {
            if let (Some((element, left)), Some((_, right))) = (left, right) {
                result.add_child(element.clone(), left.intersection(right));
            }
        });
        result
    }

    /// What is in this set and not in the other, path by path: owning `spec` takes
    /// nothing below it away.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.subtract(other, false)
    }

    /// What is in this set and neither in the other nor below something in the other.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        self.subtract(other, true)
    }

    fn subtract(&self, other: &Self, recursive: bool) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        let mut result = Self::default();
        zip(
            &self.members,
            &other.members,
            |e| e,
            |left, right| {
                if let (Some(element), None) = (left, right) {
                    result.members.push(element.clone());
                }
            },
        );
        zip(&self.children, &other.children, key, |left, right| {
            let Some((element, child)) = left else { return };
            if recursive && other.has_member(element) {
                return;
            }
            match right {
                Some((_, right)) => {
                    result.add_child(element.clone(), child.subtract(right, recursive));
                }
                None => result.children.push((element.clone(), child.clone())),
            }
        });
        result
    }

    /// Whether everything in this set is in the other too.
    pub(super) fn is_subset(&self, other: &Self) -> bool {
        self.members.iter().all(|member| other.has_member(member))
            && self.children.iter().all(|(element, child)| {
                other
                    .child(element)
                    .is_some_and(|theirs| child.is_subset(theirs))
            })
    }

    /// The set with every named field that has members below it made a member itself:
    /// who owns all that is in a struct may remove the struct.
    pub(super) fn with_named_parents(&self, typed: TypeRef<'_>) -> Self {
        let mut result = Self {
            members: self.members.clone(),
            children: Vec::with_capacity(self.children.len()),
        };
        for (element, child) in &self.children {
            let below = match element {
                PathElement::Field(name) => {
                    if let Some(field) = typed.field(name) {
                        result.add_member(element.clone());
                        field
                    } else {
                        typed.member(name)
                    }
                }
                _ => typed.item(),
            };
            result
                .children
                .push((element.clone(), child.with_named_parents(below)));
        }
        result
    }

    /// Only the paths that have nothing below them.
    #[must_use]
    pub fn leaves(&self) -> Self {
        Self {
            members: self
                .members
                .iter()
                .filter(|member| self.child(member).is_none())
                .cloned()
                .collect(),
            children: self
                .children
                .iter()
                .map(|(element, child)| (element.clone(), child.leaves()))
                .collect(),
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, path) in self.paths().iter().enumerate() {
            let newline = if index > 0 { "\n" } else { "" };
            write!(f, "{newline}{path}")?;
        }
        Ok(())
    }
}

fn key(child: &(PathElement, Set)) -> &PathElement {
    &child.0
}

fn find(children: &[(PathElement, Set)], element: &PathElement) -> Result<usize, usize> {
    children.binary_search_by(|(known, _)| known.cmp(element))
}

/// Walks two sorted slices side by side, in order.
fn zip<'a, T>(
    left: &'a [T],
    right: &'a [T],
    key: impl Fn(&T) -> &PathElement,
    mut visit: impl FnMut(Option<&'a T>, Option<&'a T>),
) {
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(another)) => key(one).cmp(key(another)),
        };
        let from_left = if order.is_le() { left.next() } else { None };
        let from_right = if order.is_ge() { right.next() } else { None };
        visit(from_left, from_right);
    }
}
