//! What no two runs share, replaced by a word for it: times, ages, uids, resource versions,
//! ports. Columns stay where they were, so that a table still reads as a table.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// The word for each, and how it looks; in this order.
static VOLATILE: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let uid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
    [
        (uid, "UID"),
        (r#"(resourceVersion"?: ?)"\d+""#, r#"${1}"VERSION""#),
        (
            r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| ?[+-]\d\d:?\d\d)",
            "TIME",
        ),
        (
            r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000",
            "TIME",
        ),
        (r"(LIVE|MERGED)-\d+", "${1}-N"),
        (r"(127\.0\.0\.1|localhost):\d{4,5}\b", "${1}:PORT"),
        (
            r"(-deployment)-[a-z0-9]{6,10}-[a-z0-9]{5}\b",
            "${1}-SOME-POD",
        ),
        (r"\.[0-9a-f]{16}\b", ".EVENT"),
        (r"(Resource Version: +)\d+", "${1}VERSION"),
        (r"\b(made-)[a-z0-9]{5}\b", "${1}SOME"),
        (r"sha256:[0-9a-f]{64}", "sha256:DIGEST"),
        (r"(process://|sluice\.dev/port: )\d+", "${1}N"),
        (r"(pod-template-hash=)\w+", "${1}HASH"),
        (r#"(resourceVersion\\":\\")\d+"#, "${1}VERSION"),
        (r"(?m)^[WIE]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ", "LOG "),
        (r"\b10\.(9[6-9]|10\d|11[01])\.\d+\.\d+\b", "CLUSTER-IP"),
    ]
    .into_iter()
    .map(|(looks, word)| (Regex::new(looks).unwrap(), word))
    .collect()
});

/// `12s`, `2m30s`, in a table's cell or behind a colon.
static AGE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)(^|  |\()(\d+[smh]|\d+m\d+s)( {2,}|$|\)| ago\)| \(x\d+ over \d+[smh]\))")
        .unwrap()
});

/// The text with words for what is volatile.
pub fn replaced(text: &str) -> String {
    let mut text = Cow::Borrowed(text);
    for (looks, word) in VOLATILE.iter() {
        text = Cow::Owned(looks.replace_all(&text, *word).into_owned());
    }
    AGE.replace_all(&text, |age: &Captures<'_>| {
        let after = &age[3];
        let after = if after.starts_with("  ") {
            // The next column begins where it began.
            format!(
                "{:width$}",
                "",
                width = (age[2].len() + after.len()).saturating_sub(3)
            )
        } else {
            after.to_owned()
        };
        format!("{}AGE{after}", &age[1])
    })
    .into_owned()
}

#[test]
fn volatile_parts_become_words_and_columns_stay() {
    assert_eq!(
        replaced("NAME   AGE    LABELS\na      5s     x=y\nb      2m3s   x=y\n"),
        "NAME   AGE    LABELS\na      AGE    x=y\nb      AGE    x=y\n"
    );
    assert_eq!(
        replaced("resourceVersion: \"12\"\nuid: 0aa0f9a5-0f3a-4d3e-a9d1-2f0f2a3b4c5d\n"),
        "resourceVersion: \"VERSION\"\nuid: UID\n"
    );
    assert_eq!(
        replaced("at 2026-11-25T15:40:08Z http://127.0.0.1:43210/x"),
        "at TIME http://127.0.0.1:PORT/x"
    );
}
