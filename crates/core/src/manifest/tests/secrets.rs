//! Whatever is wrong with a Secret, nothing that is said of it holds a value of it.

use super::*;
use proptest::prelude::*;

/// A value that stands nowhere but in the data of a Secret.
const MARK: &str = "918273645";

/// Everything that anybody is told of some files.
fn said(loaded: &Loaded) -> String {
    let mut text = format!("{:?} {:?}\n", loaded.errors, loaded.notices);
    for error in &loaded.errors {
        let excerpt = Excerpt::of(error.clone());
        text += &format!("{error}\n{}\n{excerpt:?}\n", error.sentence());
        miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
            .with_context_lines(50)
            .render_report(&mut text, &excerpt)
            .unwrap();
    }
    for notice in &loaded.notices {
        text += &format!("{notice}\n");
    }
    text
}

fn told(name: &str, content: &str) -> String {
    said(&load(
        &[file(name, content.as_bytes())],
        &Options::default(),
    ))
}

#[test]
fn a_number_where_a_string_belongs_is_shown_without_it() {
    let secret = "# was: 918273645\napiVersion: v1\nkind: Secret\nmetadata: {name: pin}\nstringData:\n  user: bot # 918273645\n  password: 918273645\n  note: |\n    918273645\n";
    let text = told("apps/pin.yaml", secret);
    let (_, report) = text.split_once("  ×").unwrap();
    expect![[r#"
        it says:
         Secret default/pin: stringData.password: it must be a string, but it is a number
           ╭─[apps/pin.yaml:7:13]
         1 │ ***
         2 │ apiVersion: v1
         3 │ kind: Secret
         4 │ metadata: ***
         5 │ stringData:
         6 │   user: ***
         7 │   password: ***
           ·             ─┬─
           ·              ╰── here
         8 │   note:
         9 │     ***
           ╰────
          help: quote it: "***"
    "#]]
    .assert_eq(&format!("it says:\n{report}"));
}

#[test]
fn a_place_is_shown_also_in_a_line_that_is_not() {
    let secret = r#"{"apiVersion": "v1", "kind": "Secret", "data": {"a": 918273645,}}"#;
    let text = told("a.json", secret);
    assert!(text.contains("╭─[a.json:1:64]\n 1 │ ***"), "{text}");
    let secret = "kind: Secret\nstringData:\n  a: \"918273645\" 918273645\n";
    let text = told("a.yaml", secret);
    assert!(text.contains("╭─[a.yaml:3:18]"), "{text}");
}

#[test]
fn no_malformed_secret_shows_a_value() {
    const HEAD: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";
    let bodies = [
        "stringData: {password: 918273645}",
        "stringData: 918273645",
        "stringData: [918273645]",
        "stringData: {918273645, 918273645}",
        "stringData: {a: {918273645: 1, 918273645: 2}}",
        "data: {a: 918273645}",
        "data: \"918273645\"",
        "data: {a: [918273645]}",
        "data: {a: !!binary 918273645!}",
        "data: {a: !918273645 x}",
        "data: {a: *918273645}",
        "data: {a: &x 918273645, <<: 918273645}",
        "data: {a: .918273645e.inf, b: .inf}",
        "stringData:\n  a: 1\n  a: 918273645",
        "stringData:\n\ta: 918273645",
        "stringData:\n  a: |\n    one\n  918273645\n    two",
        "stringData:\n  a: \"918273645\n  b: c",
        "stringData:\n  a: 918273645: x",
        "stringData:\n  a: @918273645",
        "stringData:\n  a: %918273645",
        "stringData:\n  a: |918273645\n    x",
        "stringData:\na: 918273645\nimmutable: 918273645",
        "immutable: 918273645\ntype: 918273645",
        "strngData:\n  a: 918273645\nimmutable: 3",
        "metadata: {annotations: {kubectl.kubernetes.io/last-applied-configuration: 918273645}}",
        "kind: ConfigMap\ndata: {a: 918273645}",
        "data: {a: 918273645}\n<<<<<<< HEAD\nstringData: {b: 918273645}",
        "data: {a: {{ 918273645 }}}",
    ];
    let mut texts: Vec<String> = bodies
        .iter()
        .map(|body| format!("{HEAD}{body}\n"))
        .collect();
    texts.extend(
        [
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: a}\n  stringData: {a: 918273645}\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: 3}\n",
            "apiVersion: v1\nkind: SecretList\nitems:\n- metadata: {name: a}\n  stringData: {a: 918273645}\n",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: 1}\nkind: Secret\nstringData: {a: 918273645}\n",
            "apiVersion: v1\nkind: secret\nmetadata: {name: a, labels: 3}\nstringData: {a: 918273645}\n",
            "apiVersion: v1\nkidn: Sercet\nmetadata: {name: a}\ndata: {a: 918273645}\n",
            "apiVersion: v1\nmetadata: {name: a}\nstringData: {a: 918273645}\n",
            "apiVersion: v1\nkind: [\nmetadata: {name: a}\nstringData: {a: 918273645}\n",
            "apiVersion: x.io/v1\nkind: Template\nmetadata: {name: 3}\nobjects: [{kind: Secret, data: {a: 918273645}}]\n",
            "kind: Kustomization\nsecretGenerator: [{name: a, literals: [a=918273645]}]\n",
            // The lines around an error are of the next document.
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: 1}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: b}\nstringData: {a: \"918273645\"}\n",
        ]
        .map(str::to_owned),
    );
    for text in &texts {
        let said = told("a.yaml", text);
        assert!(said.contains("a.yaml:"), "nothing is wrong with\n{text}");
        assert!(!said.contains(MARK), "{text}\nis told as\n{said}");
    }
    for (name, text) in [
        (
            "a.json",
            r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},"stringData":{"a":918273645}}"#,
        ),
        (
            "a.json",
            r#"{"kind":"Secret","stringData":{"a":"918273645\q"}}"#,
        ),
        (
            "a.json",
            r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},"data":{"a":{"918273645":1,"918273645":2}}}"#,
        ),
        (
            "kustomization.yaml",
            "secretGenerator: [{name: a, literals: [a=918273645]}]\n",
        ),
    ] {
        let said = told(name, text);
        assert!(said.contains(name) && !said.contains(MARK), "{said}");
    }
    let two = load(
        &files(&[
            ("a.yaml", &format!("{HEAD}data: {{a: \"918273645\"}}\n")),
            ("b.yaml", &format!("{HEAD}data: {{a: \"918273645\"}}\n")),
        ]),
        &Options::default(),
    );
    assert!(said(&two).contains("the same object") && !said(&two).contains(MARK));
}

#[test]
fn what_is_no_secret_is_shown_as_it_stands() {
    let settings =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  pin: 918273645\n";
    let text = told("a.yaml", settings);
    assert!(
        text.contains("pin: 918273645") && text.contains("quote it: \"918273645\""),
        "{text}"
    );
    // A file with both: only the Secret is hidden.
    let both = format!(
        "{settings}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: b}}\nstringData: {{b: 5550123}}\n"
    );
    let text = told("a.yaml", &both);
    assert!(
        text.contains("pin: 918273645") && !text.contains("5550123"),
        "{text}"
    );
    let ignored = told(".sluiceignore", "drafts/\na**{b\n[z-a]\n");
    assert!(ignored.contains("[z-a]"), "{ignored}");
    let broken = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {pin: 918273645\n";
    assert!(told("a.yaml", broken).contains(MARK));
}

/// A Secret in one of the forms that people write, with the mark as a value.
fn secrets() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just(MARK.to_owned()),
        Just(format!("\"{MARK}\"")),
        Just(format!("|\n    first line\n    {MARK}\n    last line")),
        Just(format!("[x, {MARK}]")),
        Just(format!("{{a: {MARK}}}")),
        Just(format!("\"one\n    {MARK}\"")),
    ];
    (value, 0..5_usize).prop_map(|(value, form)| match form {
        0 => format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\ntype: Opaque\nstringData:\n  user: bot\n  password: {value}\n"),
        1 => format!("stringData:\n  password: {value}\napiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n"),
        2 => format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\ndata:\n  a: b\n  password: {value}\nimmutable: 3\n"),
        3 => format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{a: 1}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: b}}\nstringData:\n  password: {value}\n"),
        _ => format!("{{\"apiVersion\": \"v1\",\n \"kind\": \"Secret\",\n \"metadata\": {{\"name\": \"a\"}},\n \"stringData\": {{\"a\": \"b\",\n  \"password\": \"{MARK}\"}}}}\n"),
    })
}

/// One slip of the pen: where, as a share of the text, how much is lost there, and what comes.
fn slips() -> impl Strategy<Value = Vec<(f64, usize, String)>> {
    let piece = prop_oneof![
        proptest::sample::select(vec![
            "\t",
            "&a ",
            "*a ",
            "!x ",
            "!!int ",
            "{",
            "}",
            "[",
            "]",
            ":",
            "- ",
            "? ",
            "|\n",
            ">",
            "\"",
            "'",
            "#",
            "\n---\n",
            "<<: ",
            "%",
            "@",
            "\n",
            "\r",
            "  ",
            ",",
            "\\",
            "=======\n",
            "...\n",
            "{{",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,3}",
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec((0.0..1.0_f64, 0..3_usize, piece), 0..5)
}

/// The text with the slips in it. The words that make it a Secret stay: without them nobody
/// could tell; and so does the mark, of which a piece could not be looked for.
fn slipped(mut text: String, slips: Vec<(f64, usize, String)>) -> String {
    for (share, lost, piece) in slips {
        let at = (text.len() as f64 * share) as usize;
        let kept = ["kind", "Secret", "stringData", "data", MARK];
        let touched = kept.iter().any(|word| {
            text.match_indices(word)
                .any(|(from, _)| from < at + lost && at < from + word.len())
        });
        let end = (at + lost).min(text.len());
        if !touched && text.is_char_boundary(at) && text.is_char_boundary(end) {
            text.replace_range(at..end, &piece);
        }
    }
    text
}

proptest! {
    #[test]
    fn no_slip_of_the_pen_lets_a_value_out(text in secrets(), slips in slips()) {
        let text = slipped(text, slips);
        for name in ["a.yaml", "a.json"] {
            let said = told(name, &text);
            prop_assert!(!said.contains(MARK), "{}\nis told as\n{}", text, said);
        }
    }
}
