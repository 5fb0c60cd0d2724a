//! What the cluster would refuse, or ignore, is said of the file.

use expect_test::expect;

use super::*;

#[test]
fn a_traffic_block_that_knative_refuses_costs_only_itself() {
    let hello = |block: &str| format!("{HELLO}  traffic:\n{block}");
    let two = "  - {revisionName: hello-00001, percent: 50, tag: a}\n";
    check(
        &[
            ("01-sum.yaml", &hello(two)),
            (
                "02-twice.yaml",
                &hello(&format!("{two}  - {{percent: 50, tag: a}}\n")).replace("hello\n", "twice\n"),
            ),
            (
                "03-typo.yaml",
                &hello("  - latestRevision: true\n    precent: 100\n").replace("hello\n", "typo\n"),
            ),
            (
                "04-both.yaml",
                &hello("  - latestRevision: true\n    percent: 100\n    revisionName: x\n    configurationName: other\n")
                    .replace("hello\n", "both\n"),
            ),
            (
                "05-more.yaml",
                &hello("  - {percent: 10}\n").replace("hello\n", "more\n").replace("image:", "imgae:"),
            ),
            (
                "06-keys.yaml",
                &hello("  - {percent: 50, percent: 100}\n").replace("hello\n", "keys\n"),
            ),
            (
                "07-route.yaml",
                "apiVersion: serving.knative.dev/v1\nkind: Route\nmetadata: {name: route}\nspec:\n  traffic:\n  - percent: 90\n",
            ),
        ],
        expect![[r#"
            Service.serving.knative.dev default/hello from 01-sum.yaml:1
            Service.serving.knative.dev default/twice from 02-twice.yaml:1
            Service.serving.knative.dev default/typo from 03-typo.yaml:1
            Service.serving.knative.dev default/both from 04-both.yaml:1
            error: 01-sum.yaml:13:3: Service default/hello: spec.traffic: the entries sum to 50 %, want 100 %
            error: 02-twice.yaml:15:19: Service default/twice: spec.traffic[1].tag: "a" is already the tag of spec.traffic[0]; a tag shows one revision: give each entry a tag of its own
            error: 03-typo.yaml:15:5: Service default/typo: spec.traffic[0].precent: unknown field; did you mean "percent"?
            error: 04-both.yaml:14:5: Service default/both: spec.traffic[0].latestRevision: an entry that names the revision x does not follow the latest; remove latestRevision, or revisionName
            error: 04-both.yaml:17:5: Service default/both: spec.traffic[0].configurationName: it names a revision as well; keep one of revisionName and configurationName
            error: 05-more.yaml:9:11: Service default/more: spec.template.spec.containers[0].imgae: unknown field; did you mean "image"?
            error: 05-more.yaml:13:3: Service default/more: spec.traffic: the entries sum to 10 %, want 100 %
            error: 06-keys.yaml:14:19: Service default/keys: spec.traffic[0].percent: it is already set in line 14; keep one of the two
            error: 07-route.yaml:5:3: Route default/route: spec.traffic: the entries sum to 90 %, want 100 %
            error: 07-route.yaml:6:5: Route default/route: spec.traffic[0]: it names neither a revision nor a Configuration; set revisionName or configurationName
        "#]],
    );
    let loaded = load(&files(&[("a.yaml", &hello(two))]), &Options::default());
    assert!(loaded.may_prune() && loaded.broken().is_empty());
}

#[test]
fn annotations_of_ours_are_never_ignored() {
    let with = |name: &str, annotation: &str| {
        format!(
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: {name}\n  annotations:\n    {annotation}\nspec: {{template: {{spec: {{containers: [{{image: x}}]}}}}}}\n"
        )
    };
    check(
        &[
            ("1.yaml", &with("a", "sluice.dev/expand: Sevice")),
            ("2.yaml", &with("b", "sluice.dev/prune: maybe")),
            ("3.yaml", &with("c", "sluice.dev/polcy: fast")),
            ("4.yaml", &with("d", "sluice.dev/speed: fast")),
            ("5.yaml", &with("e", "sluice.dev/force: 'yes'")),
            ("6.yaml", &with("f", "sluice.dev/policy: very fast")),
            ("7.yaml", &with("g", "sluice.dev/policy: fast\n    sluice.dev/delivery: default.shop\n    sluice.dev/prune: disabled\n    sluice.dev/force: 'true'\n    sluice.dev/expand: Service")),
            ("8.yaml", &config_map("h").replace("{name: h}", "{name: h, annotations: {sluice.dev/policy: fast, sluice.dev/prune: disabled}}")),
            ("9.yaml", &with("i", "a: b").replace("{template: {", "{template: {metadata: {annotations: {sluice.dev/policy: fast, sluice.dev/attempt: '1'}}, ")),
        ],
        expect![[r#"
            Service.serving.knative.dev default/g from 7.yaml:1
            ConfigMap default/h from 8.yaml:1
            Service.serving.knative.dev default/i from 9.yaml:1
            error: 1.yaml:6:5: Service default/a: metadata.annotations["sluice.dev/expand"]: "Sevice" is not one of its values; did you mean "Service"?
            error: 2.yaml:6:5: Service default/b: metadata.annotations["sluice.dev/prune"]: "maybe" is not one of its values; write disabled, or remove it
            error: 3.yaml:6:5: Service default/c: metadata.annotations["sluice.dev/polcy"]: unknown annotation; did you mean "sluice.dev/policy"?
            error: 4.yaml:6:5: Service default/d: metadata.annotations["sluice.dev/speed"]: unknown annotation; known here: sluice.dev/expand, sluice.dev/force, sluice.dev/policy, sluice.dev/probe-expected-body, sluice.dev/probe-expected-status, sluice.dev/probe-headers, sluice.dev/probe-method, sluice.dev/probe-path, sluice.dev/prune
            error: 5.yaml:6:5: Service default/e: metadata.annotations["sluice.dev/force"]: "yes" is not one of its values; write true or false, or remove it
            error: 6.yaml:6:5: Service default/f: metadata.annotations["sluice.dev/policy"]: "very fast" is not one of its values; write the name of a RolloutPolicy or of a preset
            notice: 8.yaml:3: ConfigMap default/h: sluice.dev/policy has no effect: only a Knative Service is read for it, not a ConfigMap
            notice: 9.yaml:7: Service default/i: sluice.dev/policy has no effect in spec.template; move it to metadata.annotations
        "#]],
    );
}

#[test]
fn what_a_service_says_of_its_probes_is_checked_where_it_stands() {
    let with = |name: &str, annotation: &str| {
        format!(
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: {name}\n  annotations:\n    sluice.dev/{annotation}\nspec: {{template: {{spec: {{containers: [{{image: x}}]}}}}}}\n"
        )
    };
    let policy = |probes: &str| {
        format!(
            "apiVersion: sluice.dev/v1alpha1\nkind: RolloutPolicy\nmetadata: {{name: mine}}\nspec:\n  probes:\n    {probes}\n"
        )
    };
    check(
        &[
            ("1.yaml", &with("a", "probe-path: healthz")),
            ("2.yaml", &with("b", "probe-expected-status: 200-2999")),
            ("3.yaml", &with("c", "probe-expected-status: 204")),
            ("4.yaml", &with("d", "probe-method: DELETE")),
            ("5.yaml", &with("e", "probe-headers: 'host: x'")),
            ("6.yaml", &with("f", "probe-expected-body: .status.=up")),
            ("7.yaml", &with("g", "probe-paths: /a")),
            ("8.yaml", &with("h", "probe-path: /healthz, /api\n    sluice.dev/probe-expected-status: '200-299, 404'\n    sluice.dev/probe-expected-body: .status=up")),
            ("9.yaml", &config_map("i").replace("{name: i}", "{name: i, annotations: {sluice.dev/probe-path: /a}}")),
            ("p.yaml", &policy("expectedStatus: 200-20")),
            ("q.yaml", &policy("expectedStatus: 600").replace("mine", "yours")),
            ("r.yaml", &policy("expectedStatus: [200, 204]").replace("mine", "hers")),
            ("s.yaml", &policy("method: DELETE").replace("mine", "his")),
            ("t.yaml", &policy("expectedBody: {contians: ok}").replace("mine", "ours")),
            ("v.yaml", &policy("paths: [/a, b]").replace("mine", "its")),
            ("u.yaml", &policy("{path: /a, expectedStatus: '200-299, 404', expectedBody: {jsonPath: .status, equals: up}, headers: {x-a: b}, method: POST}").replace("mine", "theirs")),
        ],
        expect![[r#"
            Service.serving.knative.dev default/h from 8.yaml:1
            ConfigMap default/i from 9.yaml:1
            RolloutPolicy.sluice.dev default/theirs from u.yaml:1
            error: 1.yaml:6:5: Service default/a: metadata.annotations["sluice.dev/probe-path"]: "healthz" must start with /
            error: 2.yaml:6:5: Service default/b: metadata.annotations["sluice.dev/probe-expected-status"]: 2999 is no HTTP status (100 to 599)
            error: 3.yaml:6:39: Service default/c: metadata.annotations["sluice.dev/probe-expected-status"]: it must be a string, but it is a number; quote it: "204"
            error: 4.yaml:6:5: Service default/d: metadata.annotations["sluice.dev/probe-method"]: "DELETE" is no method of a probe; write GET, HEAD, OPTIONS or POST
            error: 5.yaml:6:5: Service default/e: metadata.annotations["sluice.dev/probe-headers"]: host leads the probe to the candidate and cannot be another
            error: 6.yaml:6:5: Service default/f: metadata.annotations["sluice.dev/probe-expected-body"]: ".status." is no path of a field; write it like .status or .checks[0].name
            error: 7.yaml:6:5: Service default/g: metadata.annotations["sluice.dev/probe-paths"]: unknown annotation; did you mean "sluice.dev/probe-path"?
            error: p.yaml:6:21: RolloutPolicy default/mine: spec.probes.expectedStatus: 20 is no HTTP status (100 to 599)
            error: q.yaml:6:21: RolloutPolicy default/yours: spec.probes.expectedStatus: 600 is too large, the most is 599
            error: r.yaml:6:21: RolloutPolicy default/hers: spec.probes.expectedStatus: it must be a number or a string, but it is a list
            error: s.yaml:6:13: RolloutPolicy default/his: spec.probes.method: "DELETE" is not one of its values; write one of: GET, HEAD, OPTIONS, POST
            error: t.yaml:6:20: RolloutPolicy default/ours: spec.probes.expectedBody.contians: unknown field; did you mean "contains"?
            error: v.yaml:6:17: RolloutPolicy default/its: spec.probes.paths[1]: "b" must start with /
            notice: 9.yaml:3: ConfigMap default/i: sluice.dev/probe-path has no effect: only a Knative Service is read for it, not a ConfigMap
        "#]],
    );
}

#[test]
fn a_name_with_no_room_for_a_tag_is_said_and_no_mistake() {
    let long = |length: usize| ("x".repeat(length), format!("{length}.yaml"));
    let (fits, a) = long(61);
    let (too_long, b) = long(62);
    check(
        &[
            (&a, &HELLO.replace("hello\n", &format!("{fits}\n"))),
            (&b, &HELLO.replace("hello\n", &format!("{too_long}\n"))),
        ],
        expect![[r#"
            Service.serving.knative.dev default/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx from 61.yaml:1
            Service.serving.knative.dev default/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx from 62.yaml:1
            notice: 62.yaml:4: Service default/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: its name has 62 characters, and the host of a tag, TAG-NAME, may have 63 at most: a release cannot be probed before its first step and is held there, unless its policy has probes.count: 0
        "#]],
    );
}
