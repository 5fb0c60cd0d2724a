//! The kinds that sequences are about, each with what its objects may look like.

mod core;
mod custom;

use serde_json::{Value, json};

use super::shape::{Any, Fields, Shape, Words, keys, list};

pub use core::{CONFIG_MAP, DEPLOYMENT, SERVICE};
pub use custom::{CONFIGURATION, DELIVERY, KNATIVE_SERVICE, REVISION, ROUTE};

/// A kind, as both servers have it.
pub struct Kind {
    /// `v1`, `apps/v1`.
    pub api_version: &'static str,
    /// Its name.
    pub kind: &'static str,
    /// Its name in paths.
    pub plural: &'static str,
    /// Whether strategic merge patches are taken.
    pub strategic: bool,
    /// `status`, where it is; `/scale` is not compared (docs/api-server.md).
    pub subresources: &'static [&'static str],
    /// What its objects have beside apiVersion, kind and metadata.
    pub body: fn() -> Vec<(&'static str, u32, Shape)>,
    /// What their status may look like.
    pub status: fn() -> Shape,
}

impl Kind {
    /// Where its objects are.
    pub fn collection(&self) -> String {
        let root = if self.api_version.contains('/') {
            "apis"
        } else {
            "api"
        };
        format!(
            "/{root}/{}/namespaces/{{ns}}/{}",
            self.api_version, self.plural
        )
    }

    /// A whole object, without its name.
    pub fn shape(&self) -> Shape {
        let mut fields = vec![
            ("apiVersion", 100, Any(vec![json!(self.api_version)])),
            ("kind", 100, Any(vec![json!(self.kind)])),
            ("metadata", 100, metadata()),
        ];
        fields.extend((self.body)());
        Fields(fields)
    }

    /// What is sent to `/status`.
    pub fn shape_of_status(&self) -> Shape {
        let Fields(mut fields) = self.shape() else {
            unreachable!()
        };
        for field in &mut fields[3..] {
            field.1 = 20;
        }
        fields.push(("status", 90, (self.status)()));
        Fields(fields)
    }
}

const LABELS: &[&str] = &["app", "team", "tier"];

fn versions() -> Shape {
    Any(vec![
        json!("{rv 0}"),
        json!("{rv 0}"),
        json!("{rv 1}"),
        json!("0"),
        json!(""),
    ])
}

/// What writers say of an object's metadata.
pub fn metadata() -> Shape {
    let owner = Fields(vec![
        ("apiVersion", 100, Words(&["v1"])),
        ("kind", 100, Words(&["ConfigMap"])),
        ("name", 100, Words(&["o1", "o2"])),
        ("uid", 100, Words(&["u1", "u2"])),
        ("controller", 30, Shape::Flag),
        ("blockOwnerDeletion", 15, Shape::Flag),
    ]);
    Fields(vec![
        ("labels", 45, keys(LABELS, Words(&["a", "b", ""]))),
        (
            "annotations",
            35,
            keys(&["note", "example.com/by"], Words(&["x", "y", ""])),
        ),
        (
            "finalizers",
            8,
            list(
                3,
                Words(&[
                    "example.com/one",
                    "example.com/two",
                    "foregroundDeletion",
                    "orphan",
                ]),
            ),
        ),
        ("ownerReferences", 7, list(2, owner)),
        ("resourceVersion", 4, versions()),
        (
            "uid",
            2,
            Any(vec![json!("{uid}"), json!("{uid}"), json!("u9")]),
        ),
        ("creationTimestamp", 3, Any(vec![Value::Null])),
        ("generation", 2, Shape::Numbers(&[0, 1, 7])),
        (
            "managedFields",
            2,
            Any(vec![json!([]), json!([{}]), Value::Null]),
        ),
        ("generateName", 1, Words(&["g-"])),
    ])
}

/// No status.
pub fn nothing() -> Shape {
    Fields(Vec::new())
}
