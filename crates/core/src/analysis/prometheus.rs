//! The Prometheus text format, as far as counters and histograms need it.
//!
//! Tolerant on purpose: a line that cannot be read costs that line, since one odd metric of
//! some other cluster must not blind a release.

/// One sample: a name, labels and a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// The metric's name.
    pub name: &'a str,
    /// Its labels, with escapes undone, in the page's order.
    pub labels: Vec<(&'a str, String)>,
    /// Its value.
    pub value: f64,
}

impl Sample<'_> {
    /// A label's value.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(label, _)| *label == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The samples of one page whose name is among `names`. A page has tens of thousands of
/// lines; those that nobody asked for are not looked at beyond their name.
pub fn samples<'a>(page: &'a str, names: &'a [&'a str]) -> impl Iterator<Item = Sample<'a>> {
    page.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(move |line| {
            let end = line.find(['{', ' ', '\t'])?;
            let (name, rest) = line.split_at(end);
            names.contains(&name).then(|| parse(name, rest)).flatten()
        })
}

fn parse<'a>(name: &'a str, rest: &'a str) -> Option<Sample<'a>> {
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    // A timestamp may follow the value.
    let value = rest.split_whitespace().next()?;
    Some(Sample {
        name,
        labels,
        value: number(value)?,
    })
}

/// A Prometheus number; `+Inf` as Go writes it.
pub fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => None,
        text => text.parse().ok(),
    }
}

/// Labels up to the closing brace, and what comes after it.
fn labels(mut rest: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, after) = rest.split_once('=')?;
        let (value, after) = quoted(after.trim_start().strip_prefix('"')?)?;
        labels.push((name.trim(), value));
        rest = after;
    }
}

/// The text up to the closing quote with its escapes undone, and what comes after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_histograms_and_comments_are_told_apart() {
        let page = "# HELP rq Requests\n# TYPE rq counter\n\
            rq{code=\"200\",cluster=\"default/hello-00001\"} 42\n\
            other{code=\"200\"} 7\n\
            rq_bucket{le=\"+Inf\"} 1e3 1700000000000\n\
            plain 0.5\n";
        let read: Vec<_> = samples(page, &["rq", "rq_bucket", "plain"]).collect();
        assert_eq!(read.len(), 3);
        assert_eq!(read[0].label("cluster"), Some("default/hello-00001"));
        assert_eq!(
            (read[0].value, read[1].value, read[2].value),
            (42.0, 1000.0, 0.5)
        );
        assert_eq!(number(read[1].label("le").unwrap()), Some(f64::INFINITY));
    }

    #[test]
    fn escaped_labels_are_read() {
        let page = r#"m{a="say \"hi\", {ok}",b="x\\y"} 1"#;
        let read: Vec<_> = samples(page, &["m"]).collect();
        assert_eq!(read[0].label("a"), Some(r#"say "hi", {ok}"#));
        assert_eq!(read[0].label("b"), Some(r"x\y"));
    }

    #[test]
    fn a_broken_line_costs_that_line_only() {
        let page = "m{a=\"1\" 1\nm{a=} 2\nm{a=\"x\"} NaN\nm\nm{a=\"b\"} word\nm 3\n";
        let read: Vec<_> = samples(page, &["m"]).map(|sample| sample.value).collect();
        assert_eq!(read, [3.0]);
    }

    proptest::proptest! {
        #[test]
        fn no_page_makes_it_panic(page in "(m|\\{|\\}|=|\"|\\\\|,|[a-z0-9 .\n#é])*") {
            let _ = samples(&page, &["m"]).count();
        }
    }
}
