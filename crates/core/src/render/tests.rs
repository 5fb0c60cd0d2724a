//! What is wanted for what Git says, and what is said of the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use expect_test::{Expect, expect};
use serde_json::json;

use super::fixture::shop;
use super::*;
use crate::api::scope::Scope;
use crate::manifest::{self, File};

/// A cluster that has one kind of its own, and these objects by uid.
#[derive(Default)]
struct Known(BTreeMap<String, String>);

impl ClusterFacts for Known {
    fn scope_of(&self, api_version: &str, kind: &str) -> Scope {
        match (api_version, kind) {
            ("example.com/v1", "Tenant") => Scope::Cluster,
            ("example.com/v1", _) => Scope::Unknown,
            _ => Scope::by_convention(api_version, kind),
        }
    }

    fn has(&self, key: &ObjectKey, uid: &str) -> bool {
        self.0
            .get(&key.to_string())
            .is_some_and(|known| known == uid)
    }
}

fn rendered(files: &[(&str, &str)], to: Destination, cluster: &Known) -> Rendered {
    let file = |(n, (path, text)): (usize, &(&str, &str))| File {
        path: (*path).into(),
        content: text.as_bytes().into(),
        id: [n as u8; 20],
    };
    let files: Vec<File> = files.iter().enumerate().map(file).collect();
    let loaded = manifest::load(&files, &manifest::Options::default());
    render(&Arc::new(loaded), to, cluster)
}

/// The objects as they are wanted, and the notes.
#[expect(
    clippy::needless_pass_by_value,
    reason = "expect![] reads better by value"
)]
fn check(rendered: &Rendered, expected: Expect) {
    let mut text = String::new();
    for object in rendered.objects() {
        text.push_str(&format!("{} {}\n", object.origin(), object.value()));
    }
    for note in rendered.notes() {
        text.push_str(&format!("note: {note}\n"));
    }
    expected.assert_eq(&text);
}

#[test]
fn an_exported_object_is_wanted_without_what_the_cluster_wrote_to_it() {
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
    sluice.dev/delivery: elsewhere.shop
    sluice.dev/digest: 00c0ffee
    example.com/team: a
spec: {template: {spec: {containers: [{image: x}]}}}
status: {url: http://hello}
";
    check(
        &rendered(&[("apps/hello.yaml", exported)], shop(), &Known::default()),
        expect![[r#"
            apps/hello.yaml:1 {"apiVersion":"serving.knative.dev/v1","kind":"Service","metadata":{"annotations":{"example.com/team":"a"},"name":"hello","namespace":"default"},"spec":{"template":{"spec":{"containers":[{"image":"x"}]}}}}
        "#]],
    );
}

#[test]
fn an_object_goes_where_the_cluster_or_a_definition_beside_it_says() {
    let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: toys.example.com}\nspec: {group: example.com, scope: Namespaced, names: {kind: Toy, plural: toys}}\n";
    let of = |kind: &str| {
        format!(
            "apiVersion: example.com/v1\nkind: {kind}\nmetadata: {{name: a, namespace: shop}}\n"
        )
    };
    let toy = "apiVersion: example.com/v1\nkind: Toy\nmetadata: {name: b}\n";
    let files = [
        ("crd.yaml", crd),
        ("other.yaml", &format!("---\n{}", of("Other"))),
        ("tenant.yaml", &of("Tenant")),
        ("toy.yaml", toy),
    ];
    check(
        &rendered(&files, shop(), &Known::default()),
        expect![[r#"
        crd.yaml:1 {"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"toys.example.com"},"spec":{"group":"example.com","names":{"kind":"Toy","plural":"toys"},"scope":"Namespaced"}}
        tenant.yaml:1 {"apiVersion":"example.com/v1","kind":"Tenant","metadata":{"name":"a"}}
        toy.yaml:1 {"apiVersion":"example.com/v1","kind":"Toy","metadata":{"name":"b","namespace":"default"}}
        note: other.yaml:2: Other.example.com shop/a: apiVersion: the cluster has no such kind in example.com/v1; install its CustomResourceDefinition or put it in Git
    "#]],
    );
}

#[test]
fn what_a_delivery_may_not_write_is_refused_with_its_line() {
    let confined = Destination {
        confined: true,
        ..shop()
    };
    let far = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: far\n  namespace: kube-system\n";
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: all}\nrules: []\n";
    let near = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: near}\n";
    let files = [("far.yaml", far), ("near.yaml", near), ("role.yaml", role)];
    check(
        &rendered(&files, confined, &Known::default()),
        expect![[r#"
        near.yaml:1 {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"near","namespace":"default"}}
        note: far.yaml:5: ConfigMap kube-system/far: metadata.namespace: a Delivery in namespace default may write only there; move the object or the Delivery, or start the agent with --cluster-wide=default
        note: role.yaml:2: ClusterRole.rbac.authorization.k8s.io all: kind: a Delivery in namespace default may write only there; move the object or the Delivery, or start the agent with --cluster-wide=default
    "#]],
    );
}

#[test]
fn an_owner_that_is_gone_is_left_out_with_its_line_and_one_that_is_there_stays() {
    let owned = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: owned
  ownerReferences:
    - {apiVersion: v1, kind: ConfigMap, name: owner, uid: is-there}
    - {apiVersion: v1, kind: ConfigMap, name: owner, uid: is-gone}
";
    let known = Known([("ConfigMap default/owner".to_owned(), "is-there".to_owned())].into());
    check(
        &rendered(&[("apps/owned.yaml", owned)], shop(), &known),
        expect![[r#"
            apps/owned.yaml:1 {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"owned","namespace":"default","ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"owner","uid":"is-there"}]}}
            note: apps/owned.yaml:7: ConfigMap default/owned: metadata.ownerReferences[1]: delivered without its owner ConfigMap owner, which the cluster does not have by that uid; take metadata.ownerReferences out of the manifest
        "#]],
    );
}

#[test]
fn a_secret_s_text_is_wanted_as_the_server_keeps_it() {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}});
    let files = [("s.json", secret.to_string())];
    let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
    check(
        &rendered(&files, shop(), &Known::default()),
        expect![[r#"
        s.json:1 {"apiVersion":"v1","data":{"a":"Yg=="},"kind":"Secret","metadata":{"name":"s","namespace":"default"}}
    "#]],
    );
}
