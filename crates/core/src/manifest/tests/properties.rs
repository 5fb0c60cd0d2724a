//! Whatever the files hold, reading them ends, and what is good in them is found.

use super::*;
use proptest::prelude::*;

/// Pieces that manifests are made of, in any order: nearer to the edges than noise is.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("apiVersion: v1\n".to_owned()),
        Just("kind: List\n".to_owned()),
        Just("metadata:\n  name: a\n".to_owned()),
        Just("items:\n- ".to_owned()),
        Just("---\n".to_owned()),
        Just("&a [*a, *b]\n".to_owned()),
        Just("<<: *a\n".to_owned()),
        Just("\t".to_owned()),
        Just("? [".to_owned()),
        Just("!!int ".to_owned()),
        "[ -~]{0,8}",
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        for name in ["a.yaml", "a.json", ".sluiceignore", "kustomization.yaml"] {
            let loaded = load(&[file(name, &bytes)], &Options::default());
            for error in &loaded.errors {
                let _ = format!("{error} {:?}", miette::Report::new(Excerpt::of(error.clone())));
            }
        }
    }

    #[test]
    fn no_pieces_of_yaml_make_it_panic(text in pieces()) {
        for name in ["a.yaml", "a.json"] {
            let loaded = load(&[file(name, text.as_bytes())], &Options::default());
            for error in &loaded.errors {
                let _ = format!("{error} {:?}", miette::Report::new(Excerpt::of(error.clone())));
            }
            for object in &loaded.objects {
                object.line_of(&["metadata", "name"]);
            }
        }
    }

    #[test]
    fn an_object_written_as_json_or_yaml_is_the_same_object(
        data in proptest::collection::btree_map("[a-z.]{1,8}", any::<String>(), 1..6)
    ) {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "a"}, "data": data});
        let as_json = load(&[file("a.json", object.to_string().as_bytes())], &Options::default());
        let lines: String = object["data"].as_object().unwrap().iter()
            .map(|(key, value)| format!("  {}: {value}\n", json!(key))).collect();
        let yaml = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n{lines}");
        let as_yaml = load(&[file("a.yaml", yaml.as_bytes())], &Options::default());
        prop_assert_eq!(&as_json.objects[0].value.value(), &object);
        prop_assert_eq!(&as_yaml.errors, &Vec::new());
        prop_assert_eq!(&as_yaml.objects[0].value.value(), &object);
    }
}
