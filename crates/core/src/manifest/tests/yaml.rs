//! The text itself: what kubectl would understand by it, and what nobody should.

use super::*;

#[test]
fn anchors_and_merge_keys_mean_what_they_mean_to_kubectl() {
    let value = one("\
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: &base {one: '1', two: '2'}
x-more:
  <<: *base
  two: own
x-both:
  <<: [{one: first}, *base]
x-copy: *base
");
    assert_eq!(value["x-more"], json!({"one": "1", "two": "own"}));
    assert_eq!(value["x-both"], json!({"one": "first", "two": "2"}));
    assert_eq!(value["x-copy"], value["data"]);
}

#[test]
fn a_bomb_of_aliases_is_defused() {
    let mut bomb = String::from(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: bomb\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n",
    );
    for n in 1..12 {
        let inner = format!("*a{}, ", n - 1).repeat(10);
        bomb += &format!("a{n}: &a{n} [{}]\n", inner.trim_end_matches(", "));
    }
    check(
        &[("bomb.yaml", &bomb)],
        expect![[r#"
        error: bomb.yaml:9:45: ConfigMap default/bomb: aliases (*name) make this document larger than 100000 values; write the values out, or split the file
    "#]],
    );
}

#[test]
fn what_is_nested_without_end_costs_its_own_file_only() {
    let head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: deep}\ndata: ";
    let deep = 200_000;
    let anchored: String = (0..deep).map(|n| format!("&a{n} [")).collect();
    check(
        &[
            (
                "a.yaml",
                &(head.to_owned() + &"[".repeat(deep) + &"]".repeat(deep)),
            ),
            ("b.yaml", &format!("{head}\n  {}x\n", "- ".repeat(deep))),
            ("c.yaml", &(head.to_owned() + &anchored)),
            ("d.json", &"[".repeat(deep)),
            ("good.yaml", &config_map("good")),
        ],
        expect![[r#"
            ConfigMap default/good from good.yaml:1
            error: a.yaml:4:262: ConfigMap default/deep: this is not YAML: recursion limit exceeded; check indentation, colons and quotes here and in the line above
            error: b.yaml:5:257: ConfigMap default/deep: it is nested too deeply; is a bracket or a quote missing above?
            error: c.yaml:4:1688: ConfigMap default/deep: this is not YAML: recursion limit exceeded; check indentation, colons and quotes here and in the line above
            error: d.json:1:130: this is not JSON: it is nested too deeply; check commas, quotes and brackets here and in the line above [no prune]
        "#]],
    );
}

#[test]
fn editors_of_other_systems_write_the_same_manifests() {
    let plain = one(HELLO);
    let bom = format!("\u{feff}{HELLO}");
    let windows = HELLO.replace('\n', "\r\n");
    assert_eq!(one(&bom), plain);
    assert_eq!(one(&windows), plain);
    assert_eq!(one(&format!("\u{feff}---\r\n{windows}")), plain);
    let json = format!("\u{feff}{plain}");
    let loaded = load(&files(&[("a.json", &json)]), &Options::default());
    assert_eq!(loaded.objects[0].value.value(), plain, "{}", story(&loaded));
}

#[test]
fn numbers_and_words_mean_what_they_mean_to_kubectl() {
    let value = one("\
apiVersion: example.com/v1
kind: Toy
metadata: {name: a, annotations: {quoted: \"on\", digits: '0755'}}
spec: {mode: 0755, words: [on, off, yes, no, y, n, ~], hex: 0x10, big: 1e3, time: 12:30, version: 1.10}
");
    assert_eq!(
        value["spec"],
        json!({"mode": 493, "words": [true, false, true, false, true, false, null],
            "hex": 16, "big": 1000, "time": "12:30", "version": 1.1})
    );
    assert_eq!(
        value["metadata"]["annotations"],
        json!({"quoted": "on", "digits": "0755"})
    );
}
