//! What a write came to, as the client is shown it.

use serde_json::Value;

use super::write_request::WriteRequest;
use super::{metadata, scale};
use crate::json::object;
use crate::store::Stored;
use crate::wire::view;

/// What a write came to.
#[derive(Debug)]
pub struct Written {
    /// The object as the client sees it.
    pub object: Value,
    /// Whether it is new.
    pub created: bool,
    /// The revision to wait for; nothing was stored without one.
    pub revision: Option<u64>,
}

impl WriteRequest<'_> {
    /// What a write answers that stored this.
    pub fn stored(&self, stored: &Stored, created: bool) -> Written {
        let object = if self.subresource == Some("status") {
            view::whole(self.resource, stored)
        } else {
            view::value(self.resource, stored)
        };
        Written {
            object: self.answered(object),
            created,
            revision: Some(stored.revision),
        }
    }

    /// What a client is shown of what it wrote.
    fn answered(&self, object: Value) -> Value {
        if self.subresource == Some("scale") {
            return scale::of(&object);
        }
        object
    }

    /// What a dry-run would have made keeps the version that it came with.
    pub fn not_created(&self, mut object: Value, version: String) -> Written {
        if !version.is_empty() {
            object::set_meta(&mut object, "resourceVersion", version);
        }
        self.not_stored(object, true)
    }

    /// What a dry-run answers.
    pub fn not_stored(&self, object: Value, created: bool) -> Written {
        let mut object = view::as_if_stored(self.resource, object);
        if self.subresource != Some("status") {
            view::hide(self.resource, &mut object);
        }
        self.never_read(object, created)
    }

    /// What is answered as it was written, and not as it would be read.
    pub fn never_read(&self, mut object: Value, created: bool) -> Written {
        metadata::take_empties(&mut object);
        view::from_storage(self.resource, &mut object);
        Written {
            object: self.answered(object),
            created,
            revision: None,
        }
    }
}
