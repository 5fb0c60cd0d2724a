//! `sluice validate`: a folder, and no cluster.

use super::*;

#[tokio::test]
async fn a_folder_without_mistakes_is_valid_whatever_lies_beside_the_manifests() {
    let home = Home::new();
    home.write("apps/hello.yaml", GOOD);
    home.write(
        "apps/nested/settings.json",
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}})
            .to_string(),
    );
    home.write("apps/notes.txt", "containers: [");
    home.write("apps/drafts/later.yaml", "containers: [");
    home.write("apps/.sluiceignore", "drafts/\n");
    home.shows(
        "validate apps",
        expect![[r#"
            $ sluice validate apps
            3 objects, 0 errors
            status 0
        "#]],
    )
    .await;
    home.shows(
        "validate apps/hello.yaml -o yaml",
        expect![[r#"
            $ sluice validate apps/hello.yaml -o yaml
            objects: 2
            errors: []
            notices: []
            status 0
        "#]],
    )
    .await;
}

#[tokio::test]
async fn what_names_a_service_that_will_not_be_there_is_shown_in_its_line() {
    let home = Home::new();
    home.write("apps/hello.yaml", GOOD);
    home.write(
        "apps/orders.yaml",
        "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata:\n  name: orders\nspec:\n  broker: default\n  \
         subscriber:\n    ref:\n      apiVersion: serving.knative.dev/v1\n      kind: Service\n      name: hello\n",
    );
    home.shows(
        "validate apps",
        expect![[r#"
        $ sluice validate apps
        3 objects, 0 errors
        status 0
    "#]],
    )
    .await;
    home.shows(
        "validate apps --expand routes",
        expect![[r#"
        $ sluice validate apps --expand routes
          × Trigger orders: spec.subscriber.ref.name: hello is delivered as a
          │ Configuration and a Route (expand: Routes), so that the cluster has no
          │ Knative Service hello
            ╭─[orders.yaml:11:7]
         10 │       kind: Service
         11 │       name: hello
            ·       ──┬──
            ·         ╰── here
            ╰────
          help: write kind: Route, which has the same address, or deliver hello with
                expand: Service (docs/rollout.md)

        2 objects, 1 error
        status 2
    "#]],
    )
    .await;
}

#[tokio::test]
async fn every_mistake_is_shown_where_it_is_with_what_to_do() {
    let home = Home::new();
    home.write(
        "a/broken.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: [\n",
    );
    home.write("a/broken.json", "{\"apiVersion\": \"v1\",}");
    home.write(
        "a/twice.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  name: b\n",
    );
    home.write("a/hello.yaml", GOOD);
    home.write("a/deep/hello.yaml", GOOD);
    home.write(
        "a/words.yaml",
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: w}\nspec:\n  template:\n    spec:\n      containerConcurrency: many\n      contaners: []\n",
    );
    std::os::unix::fs::symlink("/etc/hostname", home.path().join("a/link.yaml")).unwrap();
    home.shows(
        "validate a",
        expect![[r#"
        $ sluice validate a
          × this is not JSON: a field name in double quotes is missing
           ╭─[broken.json:1:21]
         1 │ {"apiVersion": "v1",}
           ·                     ┬
           ·                     ╰── here
           ╰────
          help: check commas, quotes and brackets here and in the line above

          × this is not YAML: unclosed bracket '['
           ╭─[broken.yaml:3:11]
         2 │ kind: ConfigMap
         3 │ metadata: [
           ·           ┬
           ·           ╰── here
           ╰────
          help: check indentation, colons and quotes here and in the line above

          × Service default/hello: the same object is also in deep/hello.yaml:1
           ╭─[hello.yaml:1:1]
         1 │ apiVersion: serving.knative.dev/v1
           · ─────┬─────
           ·      ╰── here
         2 │ kind: Service
           ╰────
          help: keep one of them; until then neither is delivered

          × Secret default/key: the same object is also in deep/hello.yaml:13
            ╭─[hello.yaml:13:1]
         12 │ ---
         13 │ apiVersion: v1
            · ─────┬─────
            ·      ╰── here
         14 │ kind: Secret
            ╰────
          help: keep one of them; until then neither is delivered

          × link.yaml: the link leaves the folder

          × ConfigMap default/a: metadata.name: it is already set in line 4
           ╭─[twice.yaml:5:3]
         4 │   name: a
         5 │   name: b
           ·   ──┬──
           ·     ╰── here
           ╰────
          help: keep one of the two

          × Service default/w: spec.template.spec: "containers" is missing
           ╭─[words.yaml:7:7]
         6 │     spec:
         7 │       containerConcurrency: many
           ·       ──────────┬──────────
           ·                 ╰── here
         8 │       contaners: []
           ╰────
          help: set spec.template.spec.containers

          × Service default/w: spec.template.spec.containerConcurrency: it must be a
          │ whole number, but it is a string
           ╭─[words.yaml:7:29]
         6 │     spec:
         7 │       containerConcurrency: many
           ·                             ──┬─
           ·                               ╰── here
         8 │       contaners: []
           ╰────

          × Service default/w: spec.template.spec.contaners: unknown field
           ╭─[words.yaml:8:7]
         7 │       containerConcurrency: many
         8 │       contaners: []
           ·       ─────┬────
           ·            ╰── here
           ╰────
          help: did you mean "containers"?

        0 objects, 9 errors
        status 2
    "#]],
    )
    .await;
    home.write(
        "half.yaml",
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: half}\nspec:\n  template: {spec: {containers: [{image: x}]}}\n  traffic:\n  - percent: 50\n    tag: Half\n",
    );
    home.shows(
        "validate half.yaml",
        expect![[r#"
        $ sluice validate half.yaml
          × Service default/half: spec.traffic: the entries sum to 50 %, want 100 %
           ╭─[half.yaml:6:3]
         5 │   template: {spec: {containers: [{image: x}]}}
         6 │   traffic:
           ·   ────┬───
           ·       ╰── here
         7 │   - percent: 50
           ╰────

          × Service default/half: spec.traffic[0].tag: "Half" is no tag
           ╭─[half.yaml:8:5]
         7 │   - percent: 50
         8 │     tag: Half
           ·     ──┬─
           ·       ╰── here
           ╰────
          help: it may have lower-case letters, digits and "-", begins with a letter,
                ends with a letter or digit, and has 63 characters at most

        1 object, 2 errors
        status 2
    "#]],
    )
    .await;
    let json = home.run(&["validate", "a", "-o", "json"]).await;
    assert_eq!(json.code, Some(2));
    let report: Value = serde_json::from_str(&json.out).unwrap();
    let errors = report["errors"].as_array().unwrap();
    let at = |place: &str| {
        errors
            .iter()
            .any(|e| e.as_str().unwrap().starts_with(place))
    };
    for place in [
        "broken.yaml:3:11: ",
        "broken.json:1:21: ",
        "twice.yaml:5:3: ",
        "hello.yaml:1:1: ",
        "words.yaml:7:29: ",
        "words.yaml:8:7: ",
        "link.yaml:1:1: ",
    ] {
        assert!(at(place), "{place} in {errors:#?}");
    }
    home.write(
        "pin.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: pin}\nstringData:\n  password: 918273645\n",
    );
    home.shows(
        "validate pin.yaml",
        expect![[r#"
        $ sluice validate pin.yaml
          × Secret default/pin: stringData.password: it must be a string, but it is a
          │ number
           ╭─[pin.yaml:5:13]
         4 │ stringData:
         5 │   password: ***
           ·             ─┬─
           ·              ╰── here
           ╰────
          help: quote it: "***"

        0 objects, 1 error
        status 2
    "#]],
    )
    .await;
    home.shows(
        "validate nowhere",
        expect![[r#"
        $ sluice validate nowhere
        error: nowhere cannot be read: No such file or directory (os error 2)
        status 2
    "#]],
    )
    .await;
}
