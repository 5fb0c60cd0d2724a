//! Kubernetes' types of metadata.

use super::types::GoType::{Flag, Int64, List, Map, Opaque, Pointer, Struct, Text, Time};
use super::types::{GoStruct, TEXT, keep, omit};

/// What every kind has besides its spec and its status.
pub(super) static OBJECT: GoStruct = GoStruct {
    name: "Object",
    fields: &[omit("metadata", Struct(&OBJECT_META))],
};

pub(super) static OBJECT_META: GoStruct = GoStruct {
    name: "ObjectMeta",
    fields: &[
        omit("name", TEXT),
        omit("generateName", TEXT),
        omit("namespace", TEXT),
        omit("selfLink", TEXT),
        omit("uid", Text("types.UID")),
        omit("resourceVersion", TEXT),
        omit("generation", Int64),
        omit("creationTimestamp", Time),
        omit("deletionTimestamp", Pointer(&Time)),
        omit("deletionGracePeriodSeconds", Pointer(&Int64)),
        omit("labels", Map("map[string]string", &TEXT)),
        omit("annotations", Map("map[string]string", &TEXT)),
        omit("ownerReferences", List(&Struct(&OWNER_REFERENCE))),
        omit("finalizers", List(&TEXT)),
        omit("managedFields", List(&Struct(&MANAGED_FIELDS_ENTRY))),
    ],
};

pub(super) static OWNER_REFERENCE: GoStruct = GoStruct {
    name: "OwnerReference",
    fields: &[
        keep("apiVersion", TEXT),
        keep("kind", TEXT),
        keep("name", TEXT),
        keep("uid", Text("types.UID")),
        omit("controller", Pointer(&Flag)),
        omit("blockOwnerDeletion", Pointer(&Flag)),
    ],
};

pub(super) static MANAGED_FIELDS_ENTRY: GoStruct = GoStruct {
    name: "ManagedFieldsEntry",
    fields: &[
        omit("manager", TEXT),
        omit("operation", Text("v1.ManagedFieldsOperationType")),
        omit("apiVersion", TEXT),
        omit("time", Pointer(&Time)),
        omit("fieldsType", TEXT),
        omit("fieldsV1", Pointer(&Opaque("v1.FieldsV1"))),
        omit("subresource", TEXT),
    ],
};
