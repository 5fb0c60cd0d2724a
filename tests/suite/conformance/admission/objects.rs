//! What serving objects look like: sound for the most part, with every value somewhere that a rule of
//! Knative's is about.

use serde_json::{Value, json};

use super::{container, volumes};
use crate::conformance::chance::Chance;
use crate::conformance::kinds::Kind;
use crate::conformance::shape::{
    Any, Fields, Flag, Form, Numbers, Shape, Words, either, keys, list, one,
};

const LONG: &str = "a234567890123456789012345678901234567890123456789012345678901234";

/// A whole object of this kind.
pub fn shape(kind: &Kind) -> Shape {
    let spec = match kind.kind {
        "Service" => Fields(vec![
            ("template", 97, template()),
            ("traffic", 30, traffic(false)),
        ]),
        "Route" => Fields(vec![("traffic", 96, traffic(true))]),
        "Revision" => revision_spec(),
        _ => Fields(vec![("template", 97, template())]),
    };
    Fields(vec![
        ("apiVersion", 100, Any(vec![json!(kind.api_version)])),
        ("kind", 100, Any(vec![json!(kind.kind)])),
        ("metadata", 100, metadata(kind)),
        ("spec", 99, spec),
    ])
}

fn metadata(kind: &Kind) -> Shape {
    let names = either(
        96,
        Words(&["a"]),
        Words(&["", "b", "1a", "Not.Good", "a.b", LONG, "a_b", "b-a"]),
    );
    let labels = Fields(vec![
        ("app", 40, Words(&["a", "b"])),
        (
            "networking.knative.dev/visibility",
            15,
            Words(&["cluster-local", "", "elsewhere"]),
        ),
        ("serving.knative.dev/service", 2, Words(&["a", "b"])),
        ("serving.knative.dev/configuration", 2, Words(&["a", "b"])),
    ]);
    let mut annotations = vec![
        ("note", 30, Words(&["x", "y", ""])),
        (
            "serving.knative.dev/rollout-duration",
            12,
            either(
                60,
                Words(&["10s", "2m", "1h30m"]),
                Words(&[
                    "", "1.5s", "-1s", "soon", "10", "0", "1500ms", "1d", "+1s", ".5m",
                ]),
            ),
        ),
        (
            "serving.knative.dev/rolloutDuration",
            3,
            Words(&["10s", "soon"]),
        ),
        (
            "serving.knative.dev/creator",
            2,
            Words(&["me", "", "admin"]),
        ),
        (
            "serving.knative.dev/lastModifier",
            2,
            Words(&["me", "", "admin"]),
        ),
        (
            "networking.knative.dev/ingress.class",
            4,
            Words(&["kourier.ingress.networking.knative.dev", "x"]),
        ),
        (
            "networking.knative.dev/http-option",
            3,
            Words(&["enabled", "Redirected", "x"]),
        ),
        ("networking.knative.dev/unheard", 2, Words(&["x"])),
    ];
    if kind.kind == "Revision" {
        annotations.extend(scaling(3));
    } else {
        annotations.push(("autoscaling.knative.dev/min-scale", 2, Words(&["1", "x"])));
    }
    let owner = Any(vec![
        json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "a", "uid": "u1"}),
        json!({"apiVersion": "serving.knative.dev/v1", "kind": "Configuration", "name": "a", "uid": "u1"}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "b", "uid": "u2"}),
    ]);
    Fields(vec![
        ("name", 99, names),
        ("generateName", 1, Words(&["g-"])),
        ("labels", 30, labels),
        ("annotations", 50, Fields(annotations)),
        ("ownerReferences", 5, list(2, owner)),
    ])
}

/// The annotations of the autoscaler, each this often.
fn scaling(often: u32) -> Vec<(&'static str, u32, Shape)> {
    let whole = || {
        either(
            75,
            Words(&["0", "1", "2", "3", "10"]),
            Words(&[
                "-1",
                "x",
                "",
                "1.5",
                "99999999999",
                "+2",
                "0x1",
                " 1",
                "2147483647",
            ]),
        )
    };
    let fraction = || {
        either(
            60,
            Words(&["1", "10", "50", "70", "200.5", "0.5"]),
            Words(&[
                "-1", "x", "", "0", "101", "0.001", "1e2", "1000", "1001", "NaN", "Inf", "-0.5",
                "110", "1_0", "0x1p4", ".5", "5.",
            ]),
        )
    };
    let span = || {
        either(
            60,
            Words(&["60s", "6s", "1h", "15m", "0s"]),
            Words(&[
                "", "x", "5s", "2h", "1500ms", "6.5s", "-1s", "60", "0", "1h0m1s", "1m30s", "90.5s",
            ]),
        )
    };
    vec![
        (
            "autoscaling.knative.dev/class",
            often,
            Words(&[
                "kpa.autoscaling.knative.dev",
                "hpa.autoscaling.knative.dev",
                "xpa.autoscaling.knative.dev",
                "mine",
                "",
            ]),
        ),
        ("autoscaling.knative.dev/min-scale", often, whole()),
        ("autoscaling.knative.dev/minScale", often / 3, whole()),
        ("autoscaling.knative.dev/max-scale", often, whole()),
        ("autoscaling.knative.dev/maxScale", often / 3, whole()),
        ("autoscaling.knative.dev/initial-scale", often, whole()),
        ("autoscaling.knative.dev/initialScale", often / 3, whole()),
        ("autoscaling.knative.dev/activation-scale", often, whole()),
        (
            "autoscaling.knative.dev/metric",
            often,
            Words(&["concurrency", "rps", "cpu", "memory", "", "x"]),
        ),
        ("autoscaling.knative.dev/target", often, fraction()),
        (
            "autoscaling.knative.dev/target-utilization-percentage",
            often,
            fraction(),
        ),
        (
            "autoscaling.knative.dev/targetUtilizationPercentage",
            often / 3,
            fraction(),
        ),
        (
            "autoscaling.knative.dev/target-burst-capacity",
            often,
            fraction(),
        ),
        (
            "autoscaling.knative.dev/panic-window-percentage",
            often,
            fraction(),
        ),
        (
            "autoscaling.knative.dev/panic-threshold-percentage",
            often,
            fraction(),
        ),
        ("autoscaling.knative.dev/window", often, span()),
        ("autoscaling.knative.dev/scale-down-delay", often, span()),
        (
            "autoscaling.knative.dev/scale-to-zero-pod-retention-period",
            often,
            span(),
        ),
        (
            "autoscaling.knative.dev/metric-aggregation-algorithm",
            often,
            Words(&[
                "linear",
                "weighted-exponential",
                "weightedExponential",
                "",
                "x",
            ]),
        ),
        ("autoscaling.knative.dev/unheard", 1, Words(&["x"])),
    ]
}

fn template() -> Shape {
    let mut annotations = scaling(4);
    annotations.extend([
        ("note", 20, Words(&["x", "y", ""])),
        (
            "serving.knative.dev/progress-deadline",
            6,
            either(
                60,
                Words(&["60s", "10m", "600s"]),
                Words(&["", "1.5s", "-1s", "soon", "0"]),
            ),
        ),
        (
            "queue.sidecar.serving.knative.dev/resource-percentage",
            2,
            Words(&["10", "0.05", "101", "x", "1e1", "99.5"]),
        ),
        (
            "queue.sidecar.serving.knative.dev/resourcePercentage",
            1,
            Words(&["10", "x"]),
        ),
        (
            "queue.sidecar.serving.knative.dev/cpu-resource-request",
            2,
            Words(&["10m", "1", "x", ""]),
        ),
        (
            "queue.sidecar.serving.knative.dev/memory-resource-limit",
            2,
            Words(&["10Mi", "1e3", "-1", "1 Gi"]),
        ),
        (
            "queue.sidecar.serving.knative.dev/cpuResourceLimit",
            1,
            Words(&["10m", "x"]),
        ),
        ("networking.knative.dev/ingress-class", 2, Words(&["x", ""])),
        ("networking.knative.dev/unheard", 2, Words(&["x"])),
        ("networking.knative.devil", 1, Words(&["x"])),
        (
            "features.knative.dev/podspec-dryrun",
            1,
            Words(&["enabled", "strict"]),
        ),
        (
            "client.knative.dev/user-image",
            3,
            Words(&["sluice.local/hello"]),
        ),
    ]);
    let labels = keys(&["app", "team"], Words(&["a", "b", "", "Not Good"]));
    let metadata = Fields(vec![
        (
            "name",
            10,
            either(
                70,
                Words(&["a-one", "a-one", "a-two"]),
                Words(&["b-one", "x", "a-", "a-One", "a", "", "a-one.two", LONG]),
            ),
        ),
        ("generateName", 2, Words(&["a-", "x-", "Bad.", ""])),
        ("labels", 25, labels),
        ("annotations", 60, Fields(annotations)),
        (
            "creationTimestamp",
            4,
            Any(vec![Value::Null, json!("2026-01-02T03:04:05Z"), json!("x")]),
        ),
        ("namespace", 1, Words(&["elsewhere", "{ns}"])),
        (
            "finalizers",
            1,
            Any(vec![json!(["example.com/x"]), json!([])]),
        ),
        ("generation", 1, Numbers(&[0, 3])),
        ("unheard", 1, Words(&["x"])),
    ]);
    Fields(vec![
        ("metadata", 65, metadata),
        ("spec", 99, revision_spec()),
    ])
}

fn revision_spec() -> Shape {
    let seconds = || {
        either(
            80,
            Numbers(&[0, 1, 10, 300, 600]),
            Numbers(&[-1, 601, 301, 100_000]),
        )
    };
    Fields(vec![
        (
            "containers",
            98,
            either(82, one(container::shape()), list(3, container::shape())),
        ),
        (
            "initContainers",
            2,
            either(
                70,
                list(2, container::shape()),
                Any(vec![json!([]), json!([{}]), json!([{"name": "i"}])]),
            ),
        ),
        ("volumes", 25, list(3, volumes::shape())),
        (
            "containerConcurrency",
            20,
            either(75, Numbers(&[0, 1, 100, 1000]), Numbers(&[-1, 1001])),
        ),
        ("timeoutSeconds", 20, seconds()),
        ("responseStartTimeoutSeconds", 8, seconds()),
        ("idleTimeoutSeconds", 8, seconds()),
        (
            "serviceAccountName",
            8,
            either(
                80,
                Words(&["robot", "robot.two"]),
                Words(&["", "Robot", "a_b", "-a", LONG]),
            ),
        ),
        ("enableServiceLinks", 8, Flag),
        ("automountServiceAccountToken", 2, Flag),
        (
            "imagePullSecrets",
            8,
            either(
                60,
                Any(vec![
                    json!([{"name": "s"}]),
                    json!([{"name": "s"}, {"name": "t"}]),
                    json!([]),
                ]),
                Any(vec![
                    json!([{"name": "s"}, {"name": "s"}]),
                    json!([{}]),
                    json!([null]),
                ]),
            ),
        ),
        ("spoiled", 1, Words(&["x"])),
        (
            "nodeSelector",
            1,
            Any(vec![json!({"zone": "a"}), json!({})]),
        ),
        (
            "affinity",
            1,
            Any(vec![json!({}), json!({"podAntiAffinity": {}})]),
        ),
        (
            "tolerations",
            1,
            Any(vec![json!([]), json!([{"key": "a", "operator": "Exists"}])]),
        ),
        (
            "topologySpreadConstraints",
            1,
            Any(vec![
                json!([]),
                json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]),
            ]),
        ),
        (
            "securityContext",
            2,
            Any(vec![
                json!({}),
                json!({"runAsNonRoot": true}),
                json!({"runAsUser": -1, "fsGroup": -2, "runAsGroup": 5_000_000_000_i64}),
                json!({"supplementalGroups": [-1], "seccompProfile": {"type": "RuntimeDefault"}}),
                json!({"sysctls": []}),
            ]),
        ),
        ("dnsPolicy", 1, Words(&["Default", ""])),
        (
            "dnsConfig",
            1,
            Any(vec![json!({}), json!({"nameservers": ["1.1.1.1"]})]),
        ),
        (
            "hostAliases",
            1,
            Any(vec![json!([]), json!([{"ip": "1.1.1.1"}])]),
        ),
        ("hostNetwork", 1, Flag),
        ("hostPID", 1, Flag),
        ("hostIPC", 1, Flag),
        ("shareProcessNamespace", 1, Flag),
        ("priorityClassName", 1, Words(&["high", ""])),
        ("runtimeClassName", 1, Words(&["gvisor", ""])),
        ("schedulerName", 1, Words(&["mine", ""])),
        ("restartPolicy", 1, Words(&["Always", ""])),
        ("terminationGracePeriodSeconds", 1, Numbers(&[0, 30])),
    ])
}

fn traffic(of_a_route: bool) -> Shape {
    let mut sound = vec![
        json!([{"latestRevision": true, "percent": 100}]),
        json!([{"percent": 100}]),
        json!([{"revisionName": "a-00001", "percent": 90}, {"latestRevision": true, "percent": 10, "tag": "next"}]),
        json!([{"revisionName": "a-00001", "percent": 100}, {"revisionName": "a-00002", "tag": "candidate"}]),
        json!([{"latestRevision": true, "percent": 100}, {"revisionName": "a-00001", "tag": "old", "percent": 0}]),
    ];
    if of_a_route {
        sound.extend([
            json!([{"configurationName": "a", "percent": 100}]),
            json!([{"configurationName": "a", "percent": 60}, {"configurationName": "b", "percent": 40, "tag": "b"}]),
            json!([{"configurationName": "a", "percent": 100}, {"revisionName": "a-00001", "tag": "one"}]),
        ]);
    }
    let target = Fields(vec![
        (
            "percent",
            80,
            Numbers(&[0, 10, 50, 50, 90, 100, 100, 101, -1]),
        ),
        (
            "revisionName",
            40,
            Words(&[
                "a-00001", "a-00001", "b", "", "Not.Good", "a/b", "a/b/c", "a b", LONG,
            ]),
        ),
        ("latestRevision", 40, Flag),
        (
            "configurationName",
            if of_a_route { 45 } else { 6 },
            Words(&["a", "a", "b", "", "a b", LONG]),
        ),
        (
            "tag",
            40,
            Words(&["one", "two", "one", "", "Not.Good", "1a", LONG, "-"]),
        ),
        ("url", 4, Words(&["http://a.b", "", "%zz", "a b"])),
    ]);
    either(
        55,
        Any(sound),
        Shape::Either(
            90,
            Box::new([list(3, target), Any(vec![json!([]), Value::Null])]),
        ),
    )
}

/// Gives a sound template the volumes that its containers mount, and no others.
pub fn mount(object: &mut Value, chance: &mut Chance) {
    let template = match object["kind"].as_str() {
        Some("Route") => return,
        Some("Revision") => "/spec",
        _ => "/spec/template/spec",
    };
    let Some(spec) = object.pointer_mut(template) else {
        return;
    };
    let mut names: Vec<String> = Vec::new();
    for container in spec["containers"].as_array().into_iter().flatten() {
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            let name = mount["name"].as_str().unwrap_or_default().to_owned();
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let volumes = names.into_iter().map(|name| {
        let mut volume = volumes::shape().value(chance, Form::Whole);
        volume["name"] = name.into();
        volume
    });
    spec["volumes"] = volumes.collect();
}

/// A small change, such as people make.
pub fn change(kind: &Kind, chance: &mut Chance) -> Value {
    let mut changes = vec![
        json!({}),
        json!({"metadata": {"annotations": {"note": "z"}}}),
        json!({"metadata": {"labels": {"app": "z"}}}),
        json!({"metadata": {"annotations": {"serving.knative.dev/creator": "other"}}}),
        json!({"metadata": {"annotations": {"serving.knative.dev/lastModifier": "other"}}}),
        json!({"metadata": {"annotations": {"serving.knative.dev/creator": null}}}),
        json!({"metadata": {"annotations": null}}),
        json!({"metadata": {"annotations": {"serving.knative.dev/rollout-duration": "30s"}}}),
        json!({"spec": null}),
    ];
    let templates = [
        json!({"metadata": {"annotations": {"note": "z"}}}),
        json!({"metadata": {"name": "a-one"}}),
        json!({"metadata": {"name": "a-two"}}),
        json!({"metadata": {"name": "a-one", "annotations": {"note": "z"}}}),
        json!({"metadata": {"name": null}}),
        json!({"metadata": {"labels": {"app": "z"}}}),
        json!({"metadata": null}),
        json!({"spec": {"timeoutSeconds": 60}}),
        json!({"spec": {"timeoutSeconds": null, "containerConcurrency": 5}}),
        json!({"spec": {"containers": [{"image": "sluice.local/hello:2"}]}}),
        json!({"spec": {"containers": [{"image": "sluice.local/hello", "env": [{"name": "A", "value": "1"}]}]}}),
        json!({"spec": {"containers": [{"image": "sluice.local/hello", "resources": {"limits": {"cpu": "1000m"}}}]}}),
        json!({"spec": {"serviceAccountName": "robot"}}),
        json!({"spec": {"enableServiceLinks": true}}),
        json!({"spec": {"volumes": null}}),
    ];
    match kind.kind {
        "Route" => {}
        "Revision" => changes.extend(templates),
        _ => {
            changes.extend(templates.map(|template| json!({"spec": {"template": template}})));
            changes.push(json!({"spec": {"template": null}}));
        }
    }
    if matches!(kind.kind, "Route" | "Service") {
        changes.extend([
            json!({"spec": {"traffic": null}}),
            json!({"spec": {"traffic": [{"percent": 100, "latestRevision": true}]}}),
            json!({"spec": {"traffic": [{"percent": 100, "revisionName": "a-00001"}]}}),
            json!({"spec": {"traffic": [{"percent": 90, "revisionName": "a-00001"}]}}),
            json!({"spec": {"traffic": [{"percent": 100, "configurationName": "a"}]}}),
        ]);
    }
    chance.pick(&changes).clone()
}

/// A JSON patch, such as programs make.
pub fn edits(kind: &Kind, chance: &mut Chance) -> Value {
    let template = if kind.kind == "Revision" {
        ""
    } else {
        "/spec/template"
    };
    let at = |path: &str| format!("{template}{path}");
    let edits = [
        json!({"op": "add", "path": at("/metadata/annotations"), "value": {"note": "w"}}),
        json!({"op": "replace", "path": at("/spec/containers/0/image"), "value": "sluice.local/hello:3"}),
        json!({"op": "remove", "path": at("/spec/containers/0/name")}),
        json!({"op": "remove", "path": at("/spec/containers/0/readinessProbe")}),
        json!({"op": "add", "path": at("/spec/containers/0/env"), "value": [{"name": "B"}]}),
        json!({"op": "add", "path": at("/spec/containers/0/ports"), "value": [{"containerPort": 8080}]}),
        json!({"op": "replace", "path": at("/spec/timeoutSeconds"), "value": 0}),
        json!({"op": "remove", "path": at("/spec/timeoutSeconds")}),
        json!({"op": "remove", "path": at("/spec/enableServiceLinks")}),
        json!({"op": "add", "path": "/metadata/labels", "value": {"app": "w"}}),
        json!({"op": "remove", "path": "/metadata/annotations"}),
        json!({"op": "remove", "path": "/spec/traffic"}),
        json!({"op": "add", "path": "/spec/traffic/-", "value": {"revisionName": "a-00001", "tag": "t"}}),
        json!({"op": "replace", "path": "/spec/traffic/0/percent", "value": 99}),
    ];
    let count = 1 + chance.below(2);
    (0..count).map(|_| chance.pick(&edits).clone()).collect()
}
