//! The order of a merged list: what the patch names in the patch's order, what only the
//! server has in the server's, woven together.

use serde_json::Value;

/// How elements of a list are told apart.
#[derive(Clone, Copy)]
pub(super) struct Order<'k> {
    key: Option<&'k str>,
}

/// Whether two elements are the same one: by merge key, or, as scalars, by value.
pub(super) fn same_element(one: &Value, another: &Value, key: Option<&str>) -> bool {
    match key {
        Some(key) => one.get(key).is_some() && one.get(key) == another.get(key),
        None => one == another,
    }
}

impl<'k> Order<'k> {
    pub(super) fn of(key: Option<&'k str>) -> Self {
        Self { key }
    }

    /// Arranges merged items: those in `patch` come in its order; an item that only the
    /// server has goes before a patched one only where it stood before it in `server`.
    pub(super) fn arrange(
        self,
        merged: Vec<Value>,
        patch: &[Value],
        server: &[Value],
    ) -> Vec<Value> {
        let (mut patched, mut others): (Vec<_>, Vec<_>) = merged
            .into_iter()
            .partition(|item| self.place(patch, item).is_some());
        patched.sort_by_key(|item| self.place(patch, item));
        others.sort_by_key(|item| self.place(server, item));

        let mut arranged = Vec::with_capacity(patched.len() + others.len());
        let mut patched = patched.into_iter().peekable();
        let mut others = others.into_iter().peekable();
        while let (Some(other), Some(next)) = (others.peek(), patched.peek()) {
            let goes_first = match (self.place(server, other), self.place(server, next)) {
                (Some(other), Some(next)) => other < next,
                _ => false,
            };
            let item = if goes_first {
                others.next()
            } else {
                patched.next()
            };
            arranged.extend(item);
        }
        arranged.extend(patched);
        arranged.extend(others);
        arranged
    }

    fn place(self, list: &[Value], item: &Value) -> Option<usize> {
        list.iter()
            .position(|one| same_element(one, item, self.key))
    }
}
