//! Tables of files and what is said of them.

mod properties;
mod refused;
mod secrets;
mod yaml;

use std::sync::Arc;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::*;

/// Content ids need only differ where contents do.
fn id(content: &[u8]) -> [u8; 20] {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(content);
    std::array::from_fn(|n| digest[n])
}

fn file(path: &str, content: &[u8]) -> File {
    File {
        path: path.into(),
        content: Arc::from(content),
        id: id(content),
    }
}

fn files(files: &[(&str, &str)]) -> Vec<File> {
    files
        .iter()
        .map(|(path, content)| file(path, content.as_bytes()))
        .collect()
}

/// Objects, errors and notices, one a line.
fn story(loaded: &Loaded) -> String {
    let mut text = String::new();
    for object in &loaded.objects {
        text += &format!("{} from {}\n", object.key, object.origin);
    }
    for error in &loaded.errors {
        let poison = if error.poisons_prune {
            " [no prune]"
        } else {
            ""
        };
        text += &format!("error: {error}{poison}\n");
    }
    for notice in &loaded.notices {
        text += &format!("notice: {notice}\n");
    }
    text
}

fn check(input: &[(&str, &str)], expected: Expect) {
    expected.assert_eq(&story(&load(&files(input), &Options::default())));
}

fn one(content: &str) -> Value {
    let loaded = load(&files(&[("a.yaml", content)]), &Options::default());
    assert_eq!(loaded.errors, [], "{content}");
    loaded.objects[0].value.value()
}

const HELLO: &str = "\
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: hello
spec:
  template:
    spec:
      containers:
        - image: sluice.local/hello:1
          env:
            - name: TARGET
              value: World
";

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: b}}\n")
}

#[test]
fn a_service_becomes_an_object_in_the_default_namespace() {
    let loaded = load(&files(&[("apps/hello.yaml", HELLO)]), &Options::default());
    let hello = &loaded.objects[0];
    assert_eq!(
        hello.key.to_string(),
        "Service.serving.knative.dev default/hello"
    );
    assert_eq!(hello.scope, Scope::Namespaced);
    assert_eq!(hello.value.value()["metadata"], json!({"name": "hello"}));
    assert_eq!(
        hello.line_of(&["spec", "template", "spec", "containers", "0", "env"]),
        Some(10)
    );
    assert_eq!(hello.line_of(&["spec", "traffic"]), Some(5));
    assert!(loaded.errors.is_empty() && loaded.may_prune());
}

#[test]
fn many_documents_lists_and_json_are_unrolled() {
    check(
        &[
            (
                "apps/a.yaml",
                "# leading words\n---\n\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n--- # and a second\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n...\n",
            ),
            (
                "apps/deep/er/list.yml",
                "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: two}\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: three, namespace: other}\n",
            ),
            (
                "b.json",
                "{\n\t\"apiVersion\": \"v1\", \"kind\": \"ConfigMapList\",\n\t\"items\": [{\"metadata\": {\"name\": \"four\"}, \"data\": {\"smile\": \"\\ud83d\\ude00\"}}]\n}",
            ),
        ],
        expect![[r#"
            ConfigMap default/one from apps/a.yaml:5
            Namespace shop from apps/a.yaml:9
            ConfigMap default/two from apps/deep/er/list.yml:4
            ConfigMap other/three from apps/deep/er/list.yml:7
            ConfigMap default/four from b.json:3
        "#]],
    );
}

#[test]
fn slips_of_the_pen_are_shown_with_their_place_and_a_way_out() {
    let service = |spec: &str| {
        format!(
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {{name: hello}}\nspec:\n{spec}"
        )
    };
    check(
        &[
            ("01-dup.yaml", &format!("{HELLO}      timeoutSeconds: 5\n      timeoutSeconds: 6\n")),
            ("02-tab.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: tabbed\n"),
            ("03-unknown.yaml", &service("  template:\n    spec:\n      containers:\n        - imgae: x\n          enviroment: []\n      replicas: 3\n").replace("hello", "unknown")),
            ("04-type.yaml", &service("  template:\n    spec:\n      containerConcurrency: \"10\"\n      containers:\n        - image: x\n          env:\n            - {name: PORT, value: 8080}\n            - {name: DEBUG, value: yes}\n").replace("hello", "type")),
            ("05-nothing.yaml", &service("  template:\n").replace("hello", "nothing")),
            ("06-name.yaml", &config_map("Hello_World")),
            ("07-service-name.yaml", &HELLO.replace("name: hello", "name: 1.hello")),
            ("08-kind.yaml", "apiVersion: v1\nKind: ConfigMap\nmetadata: {name: a}\n"),
            ("09-noname.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {labels: {a: b}}\n"),
            ("10-generate.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-}\n"),
            ("11-labels.yaml", "apiVersion: example.com/v1\nkind: Thing\nmetadata:\n  name: labels\n  labels: {version: 1.10, on: true}\n"),
            ("12-data.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: data}\ndata: {port: 8080, mode: 0644}\n"),
            ("13-deploy.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: deploy}\nspec:\n  replicas: \"3\"\n  replica: 3\n  someFutureField: 1\n"),
            ("14-delivery.yaml", "apiVersion: sluice.dev/v1alpha1\nkind: Delivery\nmetadata: {name: shop}\nspec:\n  source: {url: 'file:///x', interval: 5}\n  target: {expand: routes}\n  prunes: true\n"),
            ("15-policy.yaml", "apiVersion: sluice.dev/v1alpha1\nkind: RolloutPolicy\nmetadata: {name: fast}\nspec:\n  bake: 5 minutes\n  steps: [{weight: 120}]\n"),
            ("16-conflict.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: conflict\ndata:\n<<<<<<< HEAD\n  a: 1\n=======\n  a: 2\n>>>>>>> other\n"),
            ("17-template.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Values.name }}\n"),
            ("18-scalar.yaml", "just words\n"),
            ("19-cluster.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, namespace: default}\n"),
            ("20-traffic.yaml", &service("  template: {spec: {containers: [{image: x}]}}\n  traffic:\n    percent: 100\n").replace("hello", "traffic")),
        ],
        expect![[r#"
            Service.serving.knative.dev default/traffic from 20-traffic.yaml:1
            error: 01-dup.yaml:14:7: Service default/hello: spec.template.spec.timeoutSeconds: it is already set in line 13; keep one of the two
            error: 02-tab.yaml:4:1: ConfigMap default/tabbed: YAML is not indented with tabs; use blanks, two for each level
            error: 03-unknown.yaml:8:11: Service default/unknown: spec.template.spec.containers[0].imgae: unknown field; did you mean "image"?
            error: 03-unknown.yaml:9:11: Service default/unknown: spec.template.spec.containers[0].enviroment: unknown field; known here: args, command, env, envFrom, image, imagePullPolicy, lifecycle, livenessProbe, name, ports, ...
            error: 03-unknown.yaml:10:7: Service default/unknown: spec.template.spec.replicas: unknown field; known here: activeDeadlineSeconds, affinity, automountServiceAccountToken, containerConcurrency, containers, dnsConfig, dnsPolicy, enableServiceLinks, ephemeralContainers, hostAliases, ...
            error: 04-type.yaml:7:29: Service default/type: spec.template.spec.containerConcurrency: it must be a whole number, but it is a string; remove the quotes: 10
            error: 04-type.yaml:11:35: Service default/type: spec.template.spec.containers[0].env[0].value: it must be a string, but it is a number; quote it: "8080"
            error: 04-type.yaml:12:36: Service default/type: spec.template.spec.containers[0].env[1].value: it must be a string, but it is a boolean; quote it: "yes"
            error: 05-nothing.yaml:5:3: Service default/nothing: spec: "template" is missing; set spec.template
            error: 06-name.yaml:3:18: ConfigMap default/Hello_World: metadata.name: "Hello_World" is no name for a ConfigMap; it may have lower-case letters, digits, "-" and ".", and begins and ends with a letter or digit
            error: 07-service-name.yaml:4:9: Service default/1.hello: metadata.name: "1.hello" is no name for a Service; it may have lower-case letters, digits and "-", and begins and ends with a letter or digit
            error: 08-kind.yaml:2:1: kind is missing; write "kind" instead of "Kind" [no prune]
            error: 09-noname.yaml:3:11: metadata.name is missing; set metadata.name [no prune]
            error: 10-generate.yaml:3:12: metadata.generateName: an object from Git needs a name of its own; set metadata.name instead: each delivery must find the same object again [no prune]
            error: 11-labels.yaml:5:21: Thing labels: metadata.labels.version: it must be a string, but it is a decimal number; quote it: "1.10" [no prune]
            error: 11-labels.yaml:5:27: Thing labels: the key on is read as "true" in YAML; quote it: "on" [no prune]
            error: 11-labels.yaml:5:31: Thing labels: metadata.labels.true: it must be a string, but it is a boolean; quote it: "true" [no prune]
            error: 12-data.yaml:4:14: ConfigMap default/data: data.port: it must be a string, but it is a number; quote it: "8080"
            error: 12-data.yaml:4:26: ConfigMap default/data: data.mode: it must be a string, but it is a number; quote it: "0644"
            error: 13-deploy.yaml:5:13: Deployment default/deploy: spec.replicas: it must be a whole number, but it is a string; remove the quotes: 3
            error: 13-deploy.yaml:6:3: Deployment default/deploy: spec.replica: unknown field; did you mean "replicas"?
            error: 14-delivery.yaml:5:40: Delivery default/shop: spec.source.interval: it must be a string, but it is a number; quote it: "5"
            error: 14-delivery.yaml:6:20: Delivery default/shop: spec.target.expand: "routes" is not one of its values; did you mean "Routes"?
            error: 14-delivery.yaml:7:3: Delivery default/shop: spec.prunes: unknown field; did you mean "prune"?
            error: 15-policy.yaml:5:9: RolloutPolicy default/fast: spec.bake: "5 minutes" is not a duration; write a number with a unit, such as 500ms, 30s, 5m or 1h30m
            error: 15-policy.yaml:6:20: RolloutPolicy default/fast: spec.steps[0].weight: 120 is too large, the most is 99
            error: 16-conflict.yaml:6:1: ConfigMap default/conflict: a merge conflict was committed; resolve it and remove the conflict markers
            error: 17-template.yaml:4:10: a key cannot be a list or a map; {{ ... }} without quotes is such a key: a template must be rendered before it is committed [no prune]
            error: 18-scalar.yaml:1:1: this is a string, not an object; a manifest begins with apiVersion and kind; list other files in .sluiceignore [no prune]
            error: 19-cluster.yaml:3:35: Namespace shop: metadata.namespace: a Namespace lives in no namespace; remove it
            error: 20-traffic.yaml:7:5: Service default/traffic: spec.traffic: it must be a list, but it is a map; begin each entry with "- "
        "#]],
    );
}

#[test]
fn one_broken_document_costs_only_its_own_object() {
    check(
        &[(
            "apps/both.yaml",
            &format!(
                "{}---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: broken\ndata: [\n---\n{}",
                config_map("first"),
                config_map("last")
            ),
        )],
        expect![[r#"
            ConfigMap default/first from apps/both.yaml:1
            ConfigMap default/last from apps/both.yaml:12
            error: apps/both.yaml:10:7: ConfigMap default/broken: this is not YAML: unclosed bracket '['; check indentation, colons and quotes here and in the line above
        "#]],
    );
}

#[test]
fn a_file_that_hides_what_it_holds_stops_all_pruning() {
    // The lost `---` makes one document of two: the second object must not be pruned.
    let lost = config_map("one") + &config_map("two");
    check(
        &[
            ("a-lost.yaml", &lost),
            ("b-binary.yaml", "\u{0}\u{1}"),
            ("c-garbage.yaml", "{[}"),
            (
                "d-custom.yaml",
                "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x, labels: 3}\n",
            ),
        ],
        expect![[r#"
            error: a-lost.yaml:5:1: ConfigMap default/one: apiVersion: it is already set in line 1; keep one of the two [no prune]
            error: a-lost.yaml:6:1: ConfigMap default/one: kind: it is already set in line 2; keep one of the two [no prune]
            error: a-lost.yaml:7:1: ConfigMap default/one: metadata: it is already set in line 3; keep one of the two [no prune]
            error: a-lost.yaml:8:1: ConfigMap default/one: data: it is already set in line 4; keep one of the two [no prune]
            error: b-binary.yaml:1:1: this is not YAML: unexpected character: `\u{0}'; check indentation, colons and quotes here and in the line above [no prune]
            error: c-garbage.yaml:1:2: this is not YAML: mismatched bracket '[' closed by '}'; check indentation, colons and quotes here and in the line above [no prune]
            error: d-custom.yaml:3:29: Thing x: metadata.labels: it must be a map, but it is a number [no prune]
        "#]],
    );
}

#[test]
fn two_files_with_one_identity_are_both_refused() {
    check(
        &[
            ("a.yaml", &config_map("same")),
            (
                "b.yaml",
                &(config_map("other") + "---\n" + &config_map("same")),
            ),
            (
                "c.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: same, namespace: default}\n",
            ),
        ],
        expect![[r#"
            ConfigMap default/other from b.yaml:1
            error: b.yaml:6:1: ConfigMap default/same: the same object is also in a.yaml:1, c.yaml:1; keep one of them; until then neither is delivered
            error: c.yaml:1:1: ConfigMap default/same: the same object is also in a.yaml:1, b.yaml:6; keep one of them; until then neither is delivered
        "#]],
    );
}

#[test]
fn a_good_manifest_beside_a_broken_one_of_the_same_object_is_not_delivered() {
    check(
        &[
            ("a.yaml", &config_map("same")),
            ("b.yaml", &config_map("same").replace("a: b", "a: 1")),
        ],
        expect![[r#"
            error: b.yaml:4:11: ConfigMap default/same: data.a: it must be a string, but it is a number; quote it: "1"
        "#]],
    );
}

#[test]
fn what_is_ignored_is_as_if_it_were_not_there() {
    check(
        &[
            (".sluiceignore", "drafts/\n*.tmp.yaml\n"),
            ("apps/.sluiceignore", "secret-*.yaml\n!drafts/\n"),
            ("apps/a.yaml", &config_map("a")),
            ("apps/b.tmp.yaml", "broken: ["),
            ("apps/secret-c.yaml", "broken: ["),
            ("drafts/d.yaml", "broken: ["),
            ("other/secret-e.yaml", &config_map("e")),
        ],
        expect![[r#"
            ConfigMap default/a from apps/a.yaml:1
            ConfigMap default/e from other/secret-e.yaml:1
        "#]],
    );
}

#[test]
fn folders_for_other_tools_are_named_and_left_alone() {
    check(
        &[
            ("base/kustomization.yaml", "resources: [a.yaml]\n"),
            ("base/a.yaml", &config_map("a")),
            ("base/more/b.yaml", "broken: ["),
            ("chart/Chart.yaml", "name: x\n"),
            ("chart/templates/c.yaml", "name: {{ .Values.x }}"),
            (
                "flux/kustomization.yaml",
                "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps, namespace: flux-system}\n",
            ),
            ("plain/d.yaml", &config_map("d")),
        ],
        expect![[r#"
            Kustomization.kustomize.toolkit.fluxcd.io flux-system/apps from flux/kustomization.yaml:1
            ConfigMap default/d from plain/d.yaml:1
            error: base/kustomization.yaml:1:1: base is made for Kustomize, which Sluice does not run: nothing in it is delivered; commit the output of `kustomize build`, or list kustomization.yaml in .sluiceignore to deliver the files as they are [no prune]
            error: chart/Chart.yaml:1:1: chart is made for Helm, which Sluice does not run: nothing in it is delivered; commit the output of `helm template`, or list Chart.yaml in .sluiceignore to deliver the files as they are [no prune]
        "#]],
    );
}

#[test]
fn what_was_never_meant_for_a_cluster_is_skipped_with_a_word() {
    check(
        &[
            ("app/package.json", "{\"name\": \"x\", \"version\": \"1\"}"),
            ("app/compose.yaml", "services: {web: {image: x}}\n"),
            ("app/empty.yaml", "# nothing yet\n"),
        ],
        expect![[r#"
            notice: app/compose.yaml:1: skipped: no Kubernetes object (it has neither apiVersion nor kind)
            notice: app/package.json:1: skipped: no Kubernetes object (it has neither apiVersion nor kind)
        "#]],
    );
}

#[test]
fn what_the_server_owns_is_left_out() {
    let exported = "\
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: hello
  uid: 0c0c
  resourceVersion: \"12\"
  creationTimestamp: null
  annotations:
    serving.knative.dev/creator: ada
spec: {template: {spec: {containers: [{image: x}]}}}
status: {url: http://hello}
";
    check(
        &[("exported.yaml", exported)],
        expect![[r#"
        Service.serving.knative.dev default/hello from exported.yaml:1
        notice: exported.yaml:5: Service default/hello: metadata.uid is left out: the cluster writes it; remove it from the file
        notice: exported.yaml:6: Service default/hello: metadata.resourceVersion is left out: the cluster writes it; remove it from the file
        notice: exported.yaml:8: Service default/hello: metadata.annotations is left out: the cluster writes it; remove it from the file
        notice: exported.yaml:11: Service default/hello: status is left out: the cluster writes it; remove it from the file
    "#]],
    );
}

#[test]
fn an_encrypted_file_is_noticed() {
    check(
        &[(
            "secret.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: 'ENC[AES256_GCM,data:x]'}\nsops: {mac: x, version: 3.9.0}\n",
        )],
        expect![[r#"
            error: secret.yaml:1:1: Secret default/db: this file is encrypted by SOPS, which Sluice does not decrypt; deliver the Secret by other means, and list the file in .sluiceignore
        "#]],
    );
}

#[test]
fn a_delivery_stays_inside_of_its_namespaces() {
    let options = Options {
        namespace: "shop".into(),
        allowed_namespaces: Some(["shop".to_owned()].into()),
        cluster_scoped: false,
        ..Options::default()
    };
    let loaded = load(
        &files(&[
            ("a.yaml", &config_map("fine")),
            (
                "b.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: far\n  namespace: kube-system\n",
            ),
            (
                "c.yaml",
                "apiVersion: v1\nkind: Namespace\nmetadata: {name: mine}\n",
            ),
        ]),
        &options,
    );
    expect![[r#"
        ConfigMap shop/fine from a.yaml:1
        error: b.yaml:5:14: ConfigMap kube-system/far: metadata.namespace: this Delivery may not write into the namespace "kube-system"; remove it, or use: shop
        error: c.yaml:1:1: Namespace mine: a Namespace belongs to the whole cluster; this Delivery may write into its namespaces only; deliver it by one for the cluster
    "#]].assert_eq(&story(&loaded));
}

#[test]
fn a_scope_comes_from_a_crd_beside_the_object_or_from_discovery() {
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: tenants.example.com}\nspec: {group: example.com, scope: Cluster, names: {kind: Tenant, plural: tenants}}\n";
    let tenant = "apiVersion: example.com/v1\nkind: Tenant\nmetadata: {name: blue}\n";
    let loaded = load(
        &files(&[("a.yaml", tenant), ("crd.yaml", crd)]),
        &Options::default(),
    );
    assert_eq!(loaded.objects[0].key.to_string(), "Tenant.example.com blue");
    assert_eq!(loaded.objects[0].scope, Scope::Cluster);

    let loaded = load(&files(&[("a.yaml", tenant)]), &Options::default());
    assert_eq!(loaded.objects[0].scope, Scope::Unknown);
}

#[test]
fn an_unchanged_snapshot_costs_nothing_and_a_changed_file_only_itself() {
    let mut loader = Loader::default();
    let options = Options::default();
    let mut input = files(&[("a.yaml", &config_map("a")), ("b.yaml", &config_map("b"))]);
    let first = loader.load(&input, &[], &options);
    assert!(Arc::ptr_eq(&first, &loader.load(&input, &[], &options)));

    input[1] = file("b.yaml", config_map("c").as_bytes());
    let second = loader.load(&input, &[], &options);
    assert!(Arc::ptr_eq(&first.objects[0], &second.objects[0]));
    assert_eq!(second.objects[1].key.name, "c");

    let elsewhere = Options {
        namespace: "elsewhere".into(),
        ..options
    };
    let third = loader.load(&input, &[], &elsewhere);
    assert_eq!(third.objects[0].key.namespace.as_deref(), Some("elsewhere"));
}

#[test]
fn an_error_is_printed_with_its_lines() {
    let loaded = load(
        &files(&[("apps/hello.yaml", &HELLO.replace("image:", "imgae:"))]),
        &Options::default(),
    );
    let mut text = String::from("as a terminal shows it:\n");
    miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
        .with_width(80)
        .render_report(&mut text, &Excerpt::of(loaded.errors[0].clone()))
        .unwrap();
    expect![[r#"
        as a terminal shows it:
          × Service default/hello: spec.template.spec.containers[0].imgae: unknown
          │ field
            ╭─[apps/hello.yaml:9:11]
          8 │       containers:
          9 │         - imgae: sluice.local/hello:1
            ·           ───┬──
            ·              ╰── here
         10 │           env:
            ╰────
          help: did you mean "image"?
    "#]]
    .assert_eq(&text);
}

#[test]
fn what_git_could_not_read_is_an_error_unless_it_is_ignored() {
    let unreadable = [
        (
            "apps/link.yaml".to_owned(),
            "it leaves the repository".to_owned(),
        ),
        (
            "apps/ignored.yaml".to_owned(),
            "it leaves the repository".to_owned(),
        ),
    ];
    let input = files(&[("apps/.sluiceignore", "ignored.yaml\n")]);
    let loaded = Loader::default().load(&input, &unreadable, &Options::default());
    expect![[r#"
        error: apps/link.yaml:1:1: it leaves the repository [no prune]
    "#]]
    .assert_eq(&story(&loaded));
}

#[test]
fn a_crd_in_the_snapshot_does_not_make_every_file_be_read_again() {
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: tenants.example.com}\nspec: {group: example.com, scope: Cluster, names: {kind: Tenant, plural: tenants}}\n";
    let mut loader = Loader::default();
    let options = Options::default();
    let mut input = files(&[("a.yaml", &config_map("a")), ("crd.yaml", crd)]);
    let first = loader.load(&input, &[], &options);
    input.push(file("b.yaml", config_map("b").as_bytes()));
    let second = loader.load(&input, &[], &options);
    assert!(Arc::ptr_eq(&first.objects[0], &second.objects[0]));
    assert_eq!(second.objects.len(), 3);
}

#[test]
fn a_broken_text_is_still_known_by_its_name() {
    let broken = |metadata: &str| {
        let text = format!("apiVersion: v1\nkind: ConfigMap\n{metadata}data: [\n");
        let loaded = load(&files(&[("a.yaml", &text)]), &Options::default());
        assert!(loaded.objects.is_empty());
        let key = loaded.errors[0].identity.clone();
        assert_eq!(loaded.may_prune(), key.is_some());
        key.map(|key| key.to_string()).unwrap_or_default()
    };
    assert_eq!(broken("metadata:\n  name: a\n"), "ConfigMap default/a");
    assert_eq!(
        broken("metadata:\n  labels:\n    name: b\n  name: \"a\" # x\n"),
        "ConfigMap default/a"
    );
    assert_eq!(
        broken("metadata: {name: a, namespace: shop}\n"),
        "ConfigMap shop/a"
    );
    assert_eq!(broken("metadata: {name: a, labels: {name: b}}\n"), "");
    assert_eq!(broken("metadata:\n  name: a\nkind: Secret\n"), "");
    assert_eq!(broken("metadata:\n  name: *a\n"), "");
}
