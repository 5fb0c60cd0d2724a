//! What containers look like, with the values that Knative's rules are about.

use serde_json::json;

use crate::conformance::shape::{Any, Fields, Flag, Numbers, Shape, Words, either, list};

/// A container.
pub fn shape() -> Shape {
    let words = || list(2, Words(&["x", "y", ""]));
    Fields(vec![
        ("image", 98, image()),
        (
            "name",
            30,
            either(
                80,
                Words(&["web", "side", "user-container"]),
                Words(&[
                    "queue-proxy",
                    "Not.Good",
                    "",
                    "user-container-0",
                    "a23456789012345678901234567890123456789012345678901234567890123456",
                ]),
            ),
        ),
        ("args", 8, words()),
        ("command", 6, words()),
        ("env", 35, list(3, variable())),
        ("envFrom", 12, list(2, variables())),
        ("ports", 35, either(90, list(1, port()), list(2, port()))),
        ("readinessProbe", 20, probe()),
        ("livenessProbe", 12, probe()),
        ("startupProbe", 8, probe()),
        ("resources", 20, resources()),
        ("securityContext", 25, security()),
        ("volumeMounts", 22, list(3, mount())),
        ("workingDir", 4, Words(&["/w", "", "w"])),
        (
            "imagePullPolicy",
            5,
            Words(&["Always", "Never", "IfNotPresent", "Sometimes", ""]),
        ),
        (
            "terminationMessagePolicy",
            4,
            Words(&["File", "FallbackToLogsOnError", "Else", ""]),
        ),
        ("terminationMessagePath", 3, Words(&["/m", ""])),
        (
            "lifecycle",
            1,
            Any(vec![
                json!({}),
                json!({"preStop": {"exec": {"command": ["x"]}}}),
            ]),
        ),
        ("stdin", 1, Flag),
        ("tty", 1, Flag),
        (
            "volumeDevices",
            1,
            Any(vec![json!([]), json!([{"name": "v1", "devicePath": "/d"}])]),
        ),
    ])
}

fn image() -> Shape {
    either(
        93,
        Words(&[
            "sluice.local/hello",
            "sluice.local/hello:2",
            "localhost:5000/a/b:1.2_3",
            "ubuntu",
            "gcr.io/a/b@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ]),
        Words(&[
            "",
            "a",
            "UPPER/x",
            "a b",
            "repo:",
            "repo:tag:tag",
            "repo:-tag",
            "repo:bad tag",
            "img@sha256:abc",
            "img@md5:abc",
            "img@",
            "@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "docker.io/library/",
            "docker.io/x",
            ":5",
            "http://x/y",
            "a/b/c/",
            "-x",
            "reg.io:port/x",
            "reg.io:99999/xx",
            "localhost/xx",
            "index.docker.io/xx",
            "/xx",
            "x/y",
            "UP.io/xx",
            "gcr.io/Ab@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "xx:t@sha256:zaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "xx@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@sha256:b",
        ]),
    )
}

fn variable() -> Shape {
    either(
        85,
        Any(vec![
            json!({"name": "A", "value": "1"}),
            json!({"name": "B", "value": ""}),
            json!({"name": "C"}),
            json!({"name": "D", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}),
            json!({"name": "E", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": true}}}),
        ]),
        Any(vec![
            json!({"name": "A", "value": "2"}),
            json!({"name": "PORT", "value": "1"}),
            json!({"name": "K_SERVICE", "value": "1"}),
            json!({"name": "K_REVISION"}),
            json!({"name": ""}),
            json!({"value": "1"}),
            json!({"name": "Not Good", "value": "1"}),
            json!({"name": "F", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
            json!({"name": "F", "valueFrom": {"fieldRef": {}}}),
            json!({"name": "G", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}),
            json!({"name": "G", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1000m"}}}),
            json!({"name": "H", "valueFrom": {}}),
            json!({"name": "H", "value": "1", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}),
            json!({"name": "D", "valueFrom": {"configMapKeyRef": {"name": "m"}}}),
            json!({"name": "D", "valueFrom": {"configMapKeyRef": {"key": "k"}}}),
            json!({"name": "D", "valueFrom": {"configMapKeyRef": {"key": "k", "name": ""}}}),
            json!({"name": "E", "valueFrom": {"secretKeyRef": {}}}),
            json!({"name": "D", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}, "secretKeyRef": {"name": "m", "key": "k"}}}),
        ]),
    )
}

fn variables() -> Shape {
    let sound = Any(vec![
        json!({"configMapRef": {"name": "m"}}),
        json!({"prefix": "P_", "secretRef": {"name": "s", "optional": true}}),
        json!({"configMapRef": {"name": "m", "optional": false}}),
        json!({"prefix": "", "configMapRef": {}}),
    ]);
    let wrong = Any(vec![
        json!({"configMapRef": {"name": "m"}, "secretRef": {"name": "s"}}),
        json!({"prefix": "P_"}),
        json!({}),
    ]);
    either(70, sound, wrong)
}

fn port() -> Shape {
    either(
        80,
        Any(vec![
            json!({"containerPort": 8080}),
            json!({"containerPort": 80, "name": "h2c"}),
            json!({"containerPort": 8080, "name": "http1", "protocol": "TCP"}),
            json!({"name": "http1"}),
        ]),
        Any(vec![
            json!({}),
            json!({"containerPort": 0}),
            json!({"containerPort": -1}),
            json!({"containerPort": 65536}),
            json!({"containerPort": 8012}),
            json!({"containerPort": 8008, "name": "h2c"}),
            json!({"containerPort": 9090}),
            json!({"containerPort": 9091}),
            json!({"containerPort": 8022}),
            json!({"containerPort": 8013}),
            json!({"containerPort": 80, "name": "web"}),
            json!({"containerPort": 80, "name": "HTTP1"}),
            json!({"containerPort": 80, "name": ""}),
            json!({"containerPort": 80, "protocol": "UDP"}),
            json!({"containerPort": 80, "protocol": ""}),
            json!({"containerPort": 80, "protocol": "tcp"}),
            json!({"containerPort": 80, "hostPort": 80}),
            json!({"containerPort": 80, "hostIP": "1.1.1.1"}),
        ]),
    )
}

fn probe() -> Shape {
    let action = either(
        80,
        Any(vec![
            json!({"httpGet": {"path": "/"}}),
            json!({"httpGet": {"path": "/h", "port": 8080, "scheme": "HTTP"}}),
            json!({"httpGet": {"port": 0, "httpHeaders": [{"name": "A", "value": "b"}]}}),
            json!({"tcpSocket": {}}),
            json!({"tcpSocket": {"port": 8080}}),
            json!({"exec": {"command": ["true"]}}),
            json!({"grpc": {"port": 8080}}),
            json!({"grpc": {"port": 8080, "service": "s"}}),
            json!({}),
        ]),
        Any(vec![
            json!({"httpGet": {"path": "/", "port": "http1"}}),
            json!({"httpGet": {"path": "", "port": "web", "host": "h"}}),
            json!({"httpGet": {"port": ""}}),
            json!({"httpGet": {"port": "http"}}),
            json!({"httpGet": {"port": 70000, "scheme": "ODD"}}),
            json!({"httpGet": {"httpHeaders": [{"name": "A"}]}}),
            json!({"tcpSocket": {"port": "8080", "host": ""}}),
            json!({"tcpSocket": {"port": "h2c"}}),
            json!({"exec": {}}),
            json!({"exec": {"command": []}}),
            json!({"grpc": {}}),
            json!({"grpc": {"port": 0, "service": ""}}),
            json!({"httpGet": {}, "tcpSocket": {}}),
            json!({"httpGet": {"port": "web"}, "exec": {"command": ["x"]}, "grpc": {"port": 1}}),
            json!({"tcpSocket": {"port": "web"}, "grpc": {"port": 1}}),
            json!({"httpGet": {"unheard": 1}}),
        ]),
    );
    let number = || {
        either(
            75,
            Numbers(&[0, 1, 3, 10]),
            Numbers(&[-1, 2_147_483_647, 0, -100]),
        )
    };
    Shape::Both(Box::new([
        action,
        Fields(vec![
            ("periodSeconds", 35, number()),
            ("timeoutSeconds", 20, number()),
            ("failureThreshold", 20, number()),
            ("successThreshold", 15, number()),
            ("initialDelaySeconds", 15, number()),
            ("terminationGracePeriodSeconds", 5, number()),
        ]),
    ]))
}

fn resources() -> Shape {
    let amount = || {
        either(
            85,
            Any(vec![
                json!("1"),
                json!("100m"),
                json!("0.1"),
                json!("1Gi"),
                json!("1024Mi"),
                json!("1000m"),
                json!(1),
                json!("1.5Gi"),
                json!("1e3"),
                json!("0"),
                json!("1000000"),
            ]),
            Any(vec![
                json!("-1"),
                json!(""),
                json!("1 Gi"),
                json!("x"),
                json!("1.5"),
                json!("0.0001m"),
                json!("1E3"),
                json!("1e-1"),
                json!("+1"),
                json!(".5"),
                json!("5."),
                json!("1000Ki"),
                json!("0.5Ki"),
                json!("1500m"),
                json!("12345678901234567890"),
                json!("1Ei"),
                json!("0Gi"),
                json!("-0"),
                json!("-1.5Gi"),
                json!("100e3"),
                json!("1.0"),
                json!("00.50"),
                json!("999999n"),
                json!("1u"),
                json!("0.3333333333333"),
            ]),
        )
    };
    let amounts = || {
        Fields(vec![
            ("cpu", 60, amount()),
            ("memory", 60, amount()),
            ("ephemeral-storage", 10, amount()),
            ("example.com/gpu", 5, amount()),
        ])
    };
    Fields(vec![
        ("limits", 60, amounts()),
        ("requests", 60, amounts()),
        ("claims", 2, Any(vec![json!([]), json!([{"name": "c"}])])),
    ])
}

fn security() -> Shape {
    let id = || {
        either(
            80,
            Numbers(&[0, 1000]),
            Numbers(&[-1, 2_147_483_647, 2_147_483_648]),
        )
    };
    Fields(vec![
        ("runAsNonRoot", 60, Flag),
        ("allowPrivilegeEscalation", 60, Flag),
        ("readOnlyRootFilesystem", 30, Flag),
        ("privileged", 2, Flag),
        ("runAsUser", 20, id()),
        ("runAsGroup", 15, id()),
        (
            "seccompProfile",
            50,
            Any(vec![
                json!({"type": "RuntimeDefault"}),
                json!({"type": "RuntimeDefault"}),
                json!({"type": ""}),
                json!({}),
                json!({"type": "Localhost", "localhostProfile": "p"}),
                json!({"type": "Odd"}),
            ]),
        ),
        (
            "capabilities",
            50,
            either(
                75,
                Any(vec![
                    json!({"drop": ["ALL"]}),
                    json!({"drop": ["ALL"]}),
                    json!({"drop": ["all"]}),
                    json!({"drop": ["NET_RAW", "all"]}),
                    json!({"drop": []}),
                    json!({}),
                ]),
                Any(vec![
                    json!({"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}),
                    json!({"add": []}),
                ]),
            ),
        ),
        ("procMount", 2, Words(&["Default", ""])),
        (
            "seLinuxOptions",
            2,
            Any(vec![json!({}), json!({"level": "x"})]),
        ),
    ])
}

fn mount() -> Shape {
    either(
        85,
        Any(vec![
            json!({"name": "v1", "mountPath": "/a"}),
            json!({"name": "v1", "mountPath": "/b", "readOnly": true}),
            json!({"name": "v2", "mountPath": "/c", "subPath": "p"}),
            json!({"name": "v2", "mountPath": "/d", "readOnly": false}),
        ]),
        Any(vec![
            json!({"name": "v3", "mountPath": "/a"}),
            json!({"name": "v1", "mountPath": "/"}),
            json!({"name": "v1", "mountPath": "/dev/log/"}),
            json!({"name": "v1", "mountPath": "/x/../dev"}),
            json!({"name": "v1", "mountPath": "a"}),
            json!({"name": "v1", "mountPath": ""}),
            json!({"name": "v1"}),
            json!({"mountPath": "/a"}),
            json!({"name": "", "mountPath": "/e"}),
            json!({"name": "v1", "mountPath": "/a/"}),
            json!({"name": "v1", "mountPath": "/f", "mountPropagation": "None"}),
            json!({"name": "v1", "mountPath": "/f", "mountPropagation": "Bidirectional"}),
            json!({"name": "v1", "mountPath": "/g", "subPathExpr": "$(A)"}),
            json!({"name": "v1", "mountPath": "/g", "recursiveReadOnly": "Enabled"}),
        ]),
    )
}
