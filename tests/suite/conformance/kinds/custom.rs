//! Kinds that come from definitions: Knative's, with its webhook, and Sluice's own.

use serde_json::json;

use super::{Kind, nothing};
use crate::conformance::shape::{Any, Fields, Flag, Numbers, Shape, Words, keys, list};

const SERVING: &str = "serving.knative.dev/v1";

/// A template and traffic in one.
pub const KNATIVE_SERVICE: Kind = Kind {
    api_version: SERVING,
    kind: "Service",
    plural: "services",
    strategic: false,
    subresources: &[],
    body: || {
        vec![(
            "spec",
            98,
            Fields(vec![
                ("template", 95, template()),
                ("traffic", 35, traffic()),
            ]),
        )]
    },
    status: nothing,
};

/// A template.
pub const CONFIGURATION: Kind = Kind {
    api_version: SERVING,
    kind: "Configuration",
    plural: "configurations",
    strategic: false,
    subresources: &[],
    body: || vec![("spec", 98, Fields(vec![("template", 95, template())]))],
    status: nothing,
};

/// Traffic.
pub const ROUTE: Kind = Kind {
    api_version: SERVING,
    kind: "Route",
    plural: "routes",
    strategic: false,
    subresources: &[],
    body: || vec![("spec", 98, Fields(vec![("traffic", 95, traffic())]))],
    status: nothing,
};

/// What a Configuration stamps out.
pub const REVISION: Kind = Kind {
    api_version: SERVING,
    kind: "Revision",
    plural: "revisions",
    strategic: false,
    subresources: &[],
    body: || vec![("spec", 98, template())],
    status: nothing,
};

fn traffic() -> Shape {
    let target = Any(vec![
        json!({"latestRevision": true, "percent": 100}),
        json!({"revisionName": "a-00001", "percent": 100}),
        json!({"revisionName": "a-00001", "percent": 90}),
        json!({"latestRevision": true, "percent": 10}),
        json!({"revisionName": "a-00002", "percent": 0, "tag": "candidate"}),
        json!({"revisionName": "a-00002", "tag": "candidate"}),
        json!({"configurationName": "a", "percent": 100}),
        json!({"revisionName": "a-00001", "latestRevision": true, "percent": 100}),
        json!({"revisionName": "a-00001", "percent": 101}),
        json!({"percent": 100}),
    ]);
    list(3, target)
}

fn template() -> Shape {
    let annotations = keys(
        &[
            "autoscaling.knative.dev/min-scale",
            "autoscaling.knative.dev/target",
            "note",
        ],
        Words(&["1", "1", "2", "0", "x"]),
    );
    let metadata = Fields(vec![
        ("annotations", 50, annotations),
        ("labels", 30, keys(&["app", "team"], Words(&["a", "b"]))),
        ("name", 6, Words(&["a-one", "b-one", "x"])),
    ]);
    let env = Any(vec![
        json!({"name": "A", "value": "1"}),
        json!({"name": "B", "value": "2"}),
        json!({"name": "B"}),
        json!({"name": "C", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}),
    ]);
    let container = Fields(vec![
        (
            "image",
            97,
            Words(&["sluice.local/hello", "sluice.local/hello:2"]),
        ),
        ("name", 20, Words(&["web", "user-container"])),
        ("env", 50, list(2, env)),
        (
            "ports",
            20,
            list(
                1,
                Any(vec![
                    json!({"containerPort": 8080}),
                    json!({"containerPort": 80, "name": "h2c"}),
                    json!({"name": "http1"}),
                ]),
            ),
        ),
        ("args", 10, list(2, Words(&["x", "y"]))),
        (
            "readinessProbe",
            25,
            Any(vec![
                json!({"httpGet": {"path": "/healthz"}}),
                json!({"tcpSocket": {"port": 8080}}),
                json!({"periodSeconds": 2, "httpGet": {"path": "/"}}),
            ]),
        ),
        (
            "resources",
            20,
            Any(vec![
                json!({"limits": {"cpu": "1000m"}}),
                json!({"requests": {"memory": "1024Mi"}}),
                json!({}),
            ]),
        ),
        ("imagePullPolicy", 5, Words(&["Always", "IfNotPresent"])),
    ]);
    let spec = Fields(vec![
        ("containers", 98, list(1, container)),
        ("containerConcurrency", 20, Numbers(&[0, 1, 1001, -1])),
        ("timeoutSeconds", 15, Numbers(&[1, 300, 601])),
        ("serviceAccountName", 5, Words(&["robot"])),
        ("enableServiceLinks", 5, Flag),
        ("responseStartTimeoutSeconds", 5, Numbers(&[10, 700])),
    ]);
    Fields(vec![("metadata", 50, metadata), ("spec", 98, spec)])
}

/// Sluice's own: an object of many rules.
pub const DELIVERY: Kind = Kind {
    api_version: "sluice.dev/v1alpha1",
    kind: "Delivery",
    plural: "deliveries",
    strategic: false,
    subresources: &["status"],
    body: || {
        let source = Fields(vec![
            (
                "url",
                97,
                Words(&["https://example.com/a.git", "file:///b.git"]),
            ),
            (
                "ref",
                50,
                Any(vec![
                    json!({"branch": "main"}),
                    json!({"tag": "v1"}),
                    json!({}),
                    json!({"branch": "main", "tag": "v1"}),
                ]),
            ),
            ("path", 40, Words(&["apps", "./", ""])),
            ("interval", 40, Words(&["30s", "1m", "0", "soon"])),
            ("secretRef", 10, Any(vec![json!({"name": "s"}), json!({})])),
        ]);
        vec![(
            "spec",
            98,
            Fields(vec![
                ("source", 97, source),
                (
                    "target",
                    50,
                    Any(vec![
                        json!({"namespace": "x"}),
                        json!({"expand": "Service"}),
                        json!({"expand": "Else"}),
                        json!({}),
                    ]),
                ),
                ("policy", 40, Words(&["demo", "brisk"])),
                ("prune", 30, Flag),
                ("drift", 30, Words(&["Correct", "Report", "Else"])),
                ("suspend", 20, Flag),
            ]),
        )]
    },
    status: || {
        Fields(vec![
            ("observedGeneration", 50, Numbers(&[1, 2])),
            ("commit", 40, Words(&["abc", "def"])),
        ])
    },
};
