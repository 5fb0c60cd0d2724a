//! Kubernetes' own kinds.

use serde_json::json;

use super::{Kind, nothing};
use crate::conformance::shape::{Any, Fields, Flag, Numbers, Shape, Words, keys, list};

/// Maps, and what makes them unchangeable.
pub const CONFIG_MAP: Kind = Kind {
    api_version: "v1",
    kind: "ConfigMap",
    plural: "configmaps",
    strategic: true,
    subresources: &[],
    body: || {
        vec![
            ("data", 75, keys(&["a", "b", "c.d"], Words(&["1", "2", ""]))),
            (
                "binaryData",
                12,
                keys(&["a", "z"], Words(&["MQ==", "Mg=="])),
            ),
            ("immutable", 6, Flag),
        ]
    },
    status: nothing,
};

/// Lists by two keys, one of them with a default.
pub const SERVICE: Kind = Kind {
    api_version: "v1",
    kind: "Service",
    plural: "services",
    strategic: true,
    subresources: &["status"],
    body: || vec![("spec", 97, service_spec())],
    status: || {
        Fields(vec![(
            "loadBalancer",
            90,
            Fields(vec![(
                "ingress",
                90,
                list(
                    2,
                    Fields(vec![
                        ("ip", 80, Words(&["10.0.0.1", "10.0.0.2"])),
                        ("hostname", 20, Words(&["h.example.com"])),
                    ]),
                ),
            )]),
        )])
    },
};

fn service_spec() -> Shape {
    let port = Fields(vec![
        ("port", 100, Numbers(&[80, 81])),
        ("name", 70, Words(&["http", "web"])),
        ("protocol", 35, Words(&["TCP", "UDP"])),
        (
            "targetPort",
            40,
            Any(vec![json!(8080), json!("http"), json!(81)]),
        ),
        ("appProtocol", 5, Words(&["http", "kubernetes.io/h2c"])),
    ]);
    Fields(vec![
        ("ports", 97, list(3, port)),
        ("selector", 60, keys(&["app", "tier"], Words(&["a", "b"]))),
        (
            "type",
            25,
            Words(&["ClusterIP", "ClusterIP", "ExternalName"]),
        ),
        ("clusterIP", 8, Words(&["None", ""])),
        (
            "externalName",
            8,
            Words(&["a.example.com", "b.example.com"]),
        ),
        ("sessionAffinity", 8, Words(&["None", "ClientIP"])),
        ("publishNotReadyAddresses", 8, Flag),
        ("internalTrafficPolicy", 5, Words(&["Cluster", "Local"])),
        (
            "externalIPs",
            5,
            list(2, Words(&["192.0.2.1", "192.0.2.2"])),
        ),
    ])
}

/// Lists of lists, immutable fields, quantities, another kind's template.
pub const DEPLOYMENT: Kind = Kind {
    api_version: "apps/v1",
    kind: "Deployment",
    plural: "deployments",
    strategic: true,
    subresources: &["status"],
    body: || vec![("spec", 98, deployment_spec())],
    status: || {
        Fields(vec![
            ("replicas", 60, Numbers(&[0, 1, 2])),
            ("readyReplicas", 40, Numbers(&[0, 1])),
            ("observedGeneration", 40, Numbers(&[1, 2])),
            (
                "conditions",
                60,
                list(
                    2,
                    Fields(vec![
                        ("type", 100, Words(&["Available", "Progressing"])),
                        ("status", 100, Words(&["True", "False"])),
                        ("reason", 40, Words(&["R1", "R2"])),
                    ]),
                ),
            ),
        ])
    },
};

fn deployment_spec() -> Shape {
    let pod_metadata = Fields(vec![
        (
            "labels",
            97,
            Fields(vec![
                ("app", 97, Words(&["a", "a", "a", "a", "a", "a", "b"])),
                ("tier", 25, Words(&["x", "y"])),
            ]),
        ),
        ("annotations", 20, keys(&["note"], Words(&["x", "y"]))),
    ]);
    Fields(vec![
        ("replicas", 40, Numbers(&[0, 1, 2, 3])),
        (
            "selector",
            100,
            Fields(vec![(
                "matchLabels",
                100,
                Fields(vec![(
                    "app",
                    98,
                    Words(&["a", "a", "a", "a", "a", "a", "a", "b"]),
                )]),
            )]),
        ),
        (
            "template",
            100,
            Fields(vec![
                ("metadata", 100, pod_metadata),
                ("spec", 100, pod_spec()),
            ]),
        ),
        (
            "strategy",
            12,
            Any(vec![
                json!({"type": "Recreate"}),
                json!({"type": "RollingUpdate"}),
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}),
                json!({"rollingUpdate": {"maxSurge": "30%"}}),
                json!({"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
                json!({}),
            ]),
        ),
        ("minReadySeconds", 6, Numbers(&[0, 5])),
        ("revisionHistoryLimit", 6, Numbers(&[2, 10])),
        ("paused", 6, Flag),
        ("progressDeadlineSeconds", 6, Numbers(&[60, 600])),
    ])
}

/// The spec of a Pod, as far as differences are interesting.
pub fn pod_spec() -> Shape {
    Fields(vec![
        ("containers", 99, list(2, container())),
        ("initContainers", 5, list(1, container())),
        ("volumes", 15, list(2, volume())),
        (
            "tolerations",
            6,
            list(
                2,
                Fields(vec![
                    ("key", 80, Words(&["k"])),
                    ("operator", 50, Words(&["Exists", "Equal"])),
                    ("effect", 50, Words(&["NoSchedule"])),
                ]),
            ),
        ),
        (
            "nodeSelector",
            8,
            keys(&["disk", "zone"], Words(&["a", "b"])),
        ),
        ("serviceAccountName", 6, Words(&["default", "robot"])),
        ("terminationGracePeriodSeconds", 6, Numbers(&[0, 30])),
        ("restartPolicy", 4, Words(&["Always", "Never"])),
        (
            "imagePullSecrets",
            6,
            list(2, Fields(vec![("name", 100, Words(&["s1", "s2"]))])),
        ),
        (
            "securityContext",
            5,
            Fields(vec![
                ("runAsNonRoot", 50, Flag),
                ("runAsUser", 50, Numbers(&[0, 1000])),
            ]),
        ),
        (
            "hostAliases",
            4,
            list(
                2,
                Fields(vec![
                    ("ip", 100, Words(&["192.0.2.1", "192.0.2.2"])),
                    ("hostnames", 80, list(2, Words(&["h1", "h2"]))),
                ]),
            ),
        ),
        (
            "topologySpreadConstraints",
            3,
            list(
                1,
                Fields(vec![
                    ("maxSkew", 100, Numbers(&[1, 2])),
                    ("topologyKey", 100, Words(&["zone"])),
                    (
                        "whenUnsatisfiable",
                        100,
                        Words(&["DoNotSchedule", "ScheduleAnyway"]),
                    ),
                ]),
            ),
        ),
    ])
}

fn volume() -> Shape {
    Any(vec![
        json!({"name": "v1", "emptyDir": {}}),
        json!({"name": "v1", "configMap": {"name": "c"}}),
        json!({"name": "v2", "secret": {"secretName": "s", "items": [{"key": "k", "path": "p"}]}}),
        json!({"name": "v2", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}),
        json!({"name": "v1"}),
        json!({"name": "v2", "projected": {"sources": [{"configMap": {"name": "c"}}]}}),
    ])
}

/// A container.
pub fn container() -> Shape {
    let env = Any(vec![
        json!({"name": "A", "value": "1"}),
        json!({"name": "A", "value": "2"}),
        json!({"name": "B", "value": "1"}),
        json!({"name": "B"}),
        json!({"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
        json!({"name": "C", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}),
        json!({"name": "C", "value": ""}),
    ]);
    let port = Fields(vec![
        ("containerPort", 100, Numbers(&[80, 81])),
        ("name", 40, Words(&["http", "web"])),
        ("protocol", 30, Words(&["TCP", "UDP"])),
    ]);
    let quantities = || {
        keys(
            &["cpu", "memory"],
            Any(vec![
                json!("1"),
                json!("100m"),
                json!("0.1"),
                json!("1Gi"),
                json!(1),
                json!("1000m"),
            ]),
        )
    };
    let probe = Any(vec![
        json!({"httpGet": {"path": "/h", "port": 80}}),
        json!({"tcpSocket": {"port": "http"}}),
        json!({"exec": {"command": ["true"]}, "periodSeconds": 3}),
        json!({"grpc": {"port": 81}}),
        json!({"httpGet": {"port": 80}, "tcpSocket": {"port": 80}}),
        json!({"initialDelaySeconds": 1}),
    ]);
    Fields(vec![
        ("name", 100, Words(&["web", "web", "web", "side"])),
        ("image", 92, Words(&["i:1", "i:2", "i", "i:latest"])),
        ("env", 45, list(3, env)),
        ("ports", 40, list(3, port)),
        ("args", 12, list(2, Words(&["x", "y"]))),
        ("command", 6, list(2, Words(&["x", "y"]))),
        (
            "resources",
            20,
            Fields(vec![
                ("limits", 50, quantities()),
                ("requests", 50, quantities()),
            ]),
        ),
        ("readinessProbe", 10, probe.clone()),
        ("livenessProbe", 6, probe),
        (
            "volumeMounts",
            10,
            list(
                2,
                Any(vec![
                    json!({"name": "v1", "mountPath": "/a"}),
                    json!({"name": "v1", "mountPath": "/b", "readOnly": true}),
                    json!({"name": "v2", "mountPath": "/a"}),
                ]),
            ),
        ),
        (
            "imagePullPolicy",
            8,
            Words(&["Always", "IfNotPresent", "Never"]),
        ),
        (
            "envFrom",
            5,
            list(
                2,
                Any(vec![
                    json!({"configMapRef": {"name": "m"}}),
                    json!({"prefix": "P_", "secretRef": {"name": "s"}}),
                ]),
            ),
        ),
        (
            "securityContext",
            6,
            Fields(vec![
                ("readOnlyRootFilesystem", 50, Flag),
                (
                    "capabilities",
                    40,
                    Fields(vec![("drop", 80, list(2, Words(&["ALL", "NET_RAW"])))]),
                ),
            ]),
        ),
        (
            "terminationMessagePolicy",
            3,
            Words(&["File", "FallbackToLogsOnError"]),
        ),
        ("workingDir", 3, Words(&["/w"])),
        ("stdin", 3, Flag),
    ])
}
