//! Knative's types of `serving.knative.dev/v1`.

use super::metadata::OBJECT_META;
use super::pod::POD_SPEC;
use super::types::GoType::{Flag, Int64, List, Pointer, Struct, Url};
use super::types::{GoStruct, TEXT, inline, keep, omit};

/// What is in a Service besides its metadata and its status.
pub(in crate::admission) static SERVICE: GoStruct = GoStruct {
    name: "Service",
    fields: &[keep("spec", Struct(&SERVICE_SPEC))],
};

/// What is in a Configuration besides its metadata and its status.
pub(in crate::admission) static CONFIGURATION: GoStruct = GoStruct {
    name: "Configuration",
    fields: &[keep("spec", Struct(&CONFIGURATION_SPEC))],
};

/// What is in a Revision besides its metadata and its status.
pub(in crate::admission) static REVISION: GoStruct = GoStruct {
    name: "Revision",
    fields: &[keep("spec", Struct(&REVISION_SPEC))],
};

/// What is in a Route besides its metadata and its status.
pub(in crate::admission) static ROUTE: GoStruct = GoStruct {
    name: "Route",
    fields: &[keep("spec", Struct(&ROUTE_SPEC))],
};

pub(in crate::admission) static SERVICE_SPEC: GoStruct = GoStruct {
    name: "ServiceSpec",
    fields: &[
        inline("ConfigurationSpec", &CONFIGURATION_SPEC),
        inline("RouteSpec", &ROUTE_SPEC),
    ],
};

pub(in crate::admission) static CONFIGURATION_SPEC: GoStruct = GoStruct {
    name: "ConfigurationSpec",
    fields: &[keep("template", Struct(&REVISION_TEMPLATE_SPEC))],
};

pub(in crate::admission) static ROUTE_SPEC: GoStruct = GoStruct {
    name: "RouteSpec",
    fields: &[omit("traffic", List(&Struct(&TRAFFIC_TARGET)))],
};

pub(in crate::admission) static REVISION_TEMPLATE_SPEC: GoStruct = GoStruct {
    name: "RevisionTemplateSpec",
    fields: &[
        omit("metadata", Struct(&OBJECT_META)),
        omit("spec", Struct(&REVISION_SPEC)),
    ],
};

pub(in crate::admission) static REVISION_SPEC: GoStruct = GoStruct {
    name: "RevisionSpec",
    fields: &[
        inline("PodSpec", &POD_SPEC),
        omit("containerConcurrency", Pointer(&Int64)),
        omit("timeoutSeconds", Pointer(&Int64)),
        omit("responseStartTimeoutSeconds", Pointer(&Int64)),
        omit("idleTimeoutSeconds", Pointer(&Int64)),
    ],
};

pub(in crate::admission) static TRAFFIC_TARGET: GoStruct = GoStruct {
    name: "TrafficTarget",
    fields: &[
        omit("tag", TEXT),
        omit("revisionName", TEXT),
        omit("configurationName", TEXT),
        omit("latestRevision", Pointer(&Flag)),
        omit("percent", Pointer(&Int64)),
        omit("url", Pointer(&Url)),
    ],
};
