//! How requests of our own are asked and what they must answer, as policies and annotations write it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::annotations;

/// The most paths that are probed of one revision.
pub const MOST_PATHS: usize = 10;
/// The longest path.
pub const LONGEST_PATH: usize = 256;
/// The most headers of a probe.
pub const MOST_HEADERS: usize = 20;

/// A value that cannot be used: what is wrong with it, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProbeValueError(pub String);

fn wrong<T>(message: String) -> Result<T, ProbeValueError> {
    Err(ProbeValueError(message))
}

/// The method of a probe: only such as change nothing by custom, and `POST` for what answers nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ProbeMethod {
    /// The default.
    #[default]
    Get,
    /// An answer without a body.
    Head,
    /// What a browser asks first.
    Options,
    /// Without a body.
    Post,
}

impl ProbeMethod {
    const ALL: [Self; 4] = [Self::Get, Self::Head, Self::Options, Self::Post];

    /// As it stands in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Post => "POST",
        }
    }
}

impl fmt::Display for ProbeMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProbeMethod {
    type Err = ProbeValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Self::ALL
            .into_iter()
            .find(|one| one.as_str() == text.trim())
        {
            Some(method) => Ok(method),
            None => wrong(format!(
                "{text:?} is no method of a probe; write GET, HEAD, OPTIONS or POST"
            )),
        }
    }
}

/// The statuses that pass: a number (`204`), a range (`200-299`), or several of both (`200-299, 404`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedStatus(Vec<(u16, u16)>);

impl ExpectedStatus {
    /// Its schema's pattern.
    pub const PATTERN: &str = r"^\s*[1-5][0-9]{2}(\s*-\s*[1-5][0-9]{2})?(\s*,\s*[1-5][0-9]{2}(\s*-\s*[1-5][0-9]{2})?)*\s*$";

    /// Whether a status is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&status))
    }

    fn one(status: u16) -> Result<Self, ProbeValueError> {
        if (100..=599).contains(&status) {
            Ok(Self(vec![(status, status)]))
        } else {
            wrong(format!("{status} is no HTTP status (100 to 599)"))
        }
    }
}

impl FromStr for ExpectedStatus {
    type Err = ProbeValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut ranges = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let (Ok(from), Ok(to)) = (from.trim().parse(), to.trim().parse()) else {
                return wrong(format!(
                    "{part:?} is no status; write a number, a range or several of both: 204, 200-299, \"200-299, 404\""
                ));
            };
            Self::one(from)?;
            Self::one(to)?;
            if from > to {
                return wrong(format!(
                    "{part:?} has its ends the wrong way round; write {to}-{from}"
                ));
            }
            ranges.push((from, to));
        }
        Ok(Self(ranges))
    }
}

impl fmt::Display for ExpectedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (from, to)) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(", ")?;
            }
            if from == to {
                write!(f, "{from}")?;
            } else {
                write!(f, "{from}-{to}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for ExpectedStatus {
    /// One status as a number, as policies wrote it when there was nothing else.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [(from, to)] if from == to => serializer.serialize_u16(*from),
            _ => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for ExpectedStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        let read = match Written::deserialize(deserializer)? {
            Written::Number(number) => Self::one(u16::try_from(number).unwrap_or(u16::MAX)),
            Written::Text(text) => text.parse(),
        };
        read.map_err(de::Error::custom)
    }
}

impl JsonSchema for ExpectedStatus {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ExpectedStatus".into()
    }

    /// A structural schema has one type for a field, or this one for two.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "minimum": 100,
            "maximum": 599,
            "pattern": Self::PATTERN,
        })
    }
}

/// What the body of an answer must have: a text, or a JSON field with a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ExpectedBody {
    /// A text that it contains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// A field of the JSON that it is: `.status`, `.checks[0].name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_path: Option<String>,
    /// The value of that field, as a text: `up`, `"3"`, `"true"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
}

/// [`ExpectedBody`], checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyExpectation {
    /// It contains this text.
    Contains(String),
    /// It is JSON, and this field has this value.
    Json {
        /// Which field.
        path: JsonPath,
        /// Its value; a number or a boolean as JSON writes it.
        equals: String,
    },
}

impl ExpectedBody {
    /// Reads it, or says which of its fields is wrong: `""` for all of it.
    ///
    /// # Errors
    /// Where neither or both ways are taken, or a field cannot be used.
    pub fn check(&self) -> Result<BodyExpectation, (&'static str, ProbeValueError)> {
        let refuse = |field, message: &str| Err((field, ProbeValueError(message.to_owned())));
        match (&self.contains, &self.json_path, &self.equals) {
            (Some(text), None, None) if text.is_empty() => {
                refuse("contains", "an empty text is in every body; leave it out")
            }
            (Some(text), None, None) => Ok(BodyExpectation::Contains(text.clone())),
            (None, Some(path), Some(equals)) => {
                let path = path.parse().map_err(|error| ("jsonPath", error))?;
                let equals = equals.clone();
                Ok(BodyExpectation::Json { path, equals })
            }
            (None, Some(_), None) => refuse("equals", "write the value that jsonPath leads to"),
            (None, None, Some(_)) => refuse("jsonPath", "write which field equals that"),
            (None, None, None) => refuse("", "write contains, or jsonPath and equals"),
            (Some(_), _, _) => refuse("", "write either contains, or jsonPath and equals"),
        }
    }
}

impl BodyExpectation {
    /// Whether a body is as expected.
    pub fn holds(&self, body: &[u8]) -> bool {
        match self {
            Self::Contains(text) => String::from_utf8_lossy(body).contains(text),
            Self::Json { path, equals } => {
                serde_json::from_slice(body).is_ok_and(|value| match path.find(&value) {
                    Some(serde_json::Value::String(found)) => found == equals,
                    Some(found) => serde_json::to_string(found).is_ok_and(|found| found == *equals),
                    None => false,
                })
            }
        }
    }
}

impl fmt::Display for BodyExpectation {
    /// `a body with "ok"`, `.status to be "up"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contains(text) => write!(f, "a body with {text:?}"),
            Self::Json { path, equals } => write!(f, "{path} to be {equals:?}"),
        }
    }
}

/// A field of a JSON value: `.status`, `.checks[0].name`. A part of what kubectl calls JSONPath.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(Vec<JsonStep>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum JsonStep {
    Field(String),
    Index(usize),
}

impl JsonPath {
    /// The field, where the value has it.
    fn find<'a>(&self, value: &'a serde_json::Value) -> Option<&'a serde_json::Value> {
        self.0.iter().try_fold(value, |value, step| match step {
            JsonStep::Field(name) => value.get(name),
            JsonStep::Index(index) => value.get(index),
        })
    }
}

impl FromStr for JsonPath {
    type Err = ProbeValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || {
            let message =
                format!("{text:?} is no path of a field; write it like .status or .checks[0].name");
            ProbeValueError(message)
        };
        let mut steps = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if let Some(tail) = rest.strip_prefix('[') {
                let (index, tail) = tail.split_once(']').ok_or_else(refused)?;
                steps.push(JsonStep::Index(index.parse().map_err(|_| refused())?));
                rest = tail;
            } else {
                let tail = rest.strip_prefix('.').ok_or_else(refused)?;
                let end = tail.find(['.', '[']).unwrap_or(tail.len());
                let (name, tail) = tail.split_at(end);
                if name.is_empty() || name.contains([']', '{', '}', '*', '$']) {
                    return Err(refused());
                }
                steps.push(JsonStep::Field(name.to_owned()));
                rest = tail;
            }
        }
        if steps.is_empty() {
            return Err(refused());
        }
        Ok(Self(steps))
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| match step {
            JsonStep::Field(name) => write!(f, ".{name}"),
            JsonStep::Index(index) => write!(f, "[{index}]"),
        })
    }
}

/// Checks a path.
///
/// # Errors
/// Where it could not stand in a request.
pub fn check_path(path: &str) -> Result<(), ProbeValueError> {
    if !path.starts_with('/') {
        return wrong(format!("{path:?} must start with /"));
    }
    if path.len() > LONGEST_PATH {
        return wrong(format!(
            "a path of {} bytes; {LONGEST_PATH} are the limit",
            path.len()
        ));
    }
    let odd = |c: char| {
        !c.is_ascii_graphic()
            || matches!(
                c,
                '#' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}'
            )
    };
    match path.find(odd) {
        None => Ok(()),
        Some(_) => wrong(format!(
            "{path:?} has a character that no request may have there; write it as %XX"
        )),
    }
}

/// Checks how many paths there are, and each of them once.
///
/// # Errors
/// Says of the first that is wrong what is.
pub fn check_paths(paths: &[String]) -> Result<(), ProbeValueError> {
    if paths.len() > MOST_PATHS {
        return wrong(format!("{} paths; {MOST_PATHS} are the limit", paths.len()));
    }
    for (n, path) in paths.iter().enumerate() {
        check_path(path)?;
        if paths.iter().take(n).any(|before| before == path) {
            return wrong(format!("{path:?} is there twice"));
        }
    }
    Ok(())
}

/// Checks a header's name and value.
///
/// # Errors
/// Where it could not stand in a request, or is not the policy's to say.
pub fn check_header(name: &str, value: &str) -> Result<(), ProbeValueError> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        return wrong(format!("{name:?} is no name of a header"));
    }
    if name.eq_ignore_ascii_case("host") {
        return wrong("host leads the probe to the candidate and cannot be another".to_owned());
    }
    let framing = [
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "te",
    ];
    if framing.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
        return wrong(format!("{name} is the connection's to say; leave it out"));
    }
    let visible = |c: char| c == ' ' || c == '\t' || c.is_ascii_graphic();
    if !value.chars().all(visible) {
        return wrong(format!(
            "the value of {name} has a character that no header may have"
        ));
    }
    Ok(())
}

/// Checks how many headers there are, and each of them.
///
/// # Errors
/// Says of the first that is wrong what is.
pub fn check_headers(headers: &BTreeMap<String, String>) -> Result<(), ProbeValueError> {
    if headers.len() > MOST_HEADERS {
        return wrong(format!(
            "{} headers; {MOST_HEADERS} are the limit",
            headers.len()
        ));
    }
    headers
        .iter()
        .try_for_each(|(name, value)| check_header(name, value))
}

/// What one annotation of a Service says of its probes, in place of its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeSetting {
    /// [`annotations::PROBE_PATH`].
    Paths(Vec<String>),
    /// [`annotations::PROBE_METHOD`].
    Method(ProbeMethod),
    /// [`annotations::PROBE_HEADERS`].
    Headers(BTreeMap<String, String>),
    /// [`annotations::PROBE_EXPECTED_STATUS`].
    ExpectedStatus(ExpectedStatus),
    /// [`annotations::PROBE_EXPECTED_BODY`].
    ExpectedBody(BodyExpectation),
}

impl ProbeSetting {
    /// Reads an annotation by its full name; `None` where it is not about probes.
    ///
    /// # Errors
    /// Where its value cannot be used.
    pub fn read(name: &str, value: &str) -> Option<Result<Self, ProbeValueError>> {
        Some(match name {
            annotations::PROBE_PATH => read_paths(value).map(Self::Paths),
            annotations::PROBE_METHOD => value.parse().map(Self::Method),
            annotations::PROBE_HEADERS => read_headers(value).map(Self::Headers),
            annotations::PROBE_EXPECTED_STATUS => value.parse().map(Self::ExpectedStatus),
            annotations::PROBE_EXPECTED_BODY => read_body(value).map(Self::ExpectedBody),
            _ => return None,
        })
    }
}

/// `/healthz, /api/items`.
fn read_paths(value: &str) -> Result<Vec<String>, ProbeValueError> {
    let paths: Vec<String> = value
        .split(',')
        .map(|path| path.trim().to_owned())
        .collect();
    check_paths(&paths)?;
    Ok(paths)
}

/// `name: value`, one a line.
fn read_headers(value: &str) -> Result<BTreeMap<String, String>, ProbeValueError> {
    let mut headers = BTreeMap::new();
    for line in value.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else {
            return wrong(format!(
                "{line:?} is no header; write one a line, as NAME: VALUE"
            ));
        };
        headers.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    check_headers(&headers)?;
    Ok(headers)
}

/// `.status=up`, or a text.
fn read_body(value: &str) -> Result<BodyExpectation, ProbeValueError> {
    let field = value.split_once('=').filter(|_| value.starts_with('.'));
    let body = match field {
        Some((path, equals)) => ExpectedBody {
            json_path: Some(path.to_owned()),
            equals: Some(equals.to_owned()),
            ..ExpectedBody::default()
        },
        None => ExpectedBody {
            contains: Some(value.to_owned()),
            ..ExpectedBody::default()
        },
    };
    body.check().map_err(|(_, error)| error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_numbers_and_ranges() {
        let read = |text: &str| text.parse::<ExpectedStatus>();
        let several = read("200-299,404").unwrap();
        assert_eq!(several.to_string(), "200-299, 404");
        for (status, passes) in [
            (199, false),
            (200, true),
            (299, true),
            (302, false),
            (404, true),
        ] {
            assert_eq!(several.contains(status), passes, "{status}");
        }
        let says = |text: &str| read(text).unwrap_err().to_string();
        assert!(
            says("20x").contains("\"20x\" is no status"),
            "{}",
            says("20x")
        );
        assert!(says("700").contains("700 is no HTTP status"));
        assert!(says("299-200").contains("write 200-299"));
        assert!(says("200,").contains("\"\" is no status"));
    }

    #[test]
    fn one_number_stays_a_number() {
        let one: ExpectedStatus = serde_json::from_str("204").unwrap();
        assert_eq!(serde_json::to_string(&one).unwrap(), "204");
        let range: ExpectedStatus = serde_json::from_str("\"200 - 204\"").unwrap();
        assert_eq!(serde_json::to_string(&range).unwrap(), "\"200-204\"");
        assert!(serde_json::from_str::<ExpectedStatus>("20").is_err());
        assert!(serde_json::from_str::<ExpectedStatus>("70000").is_err());
    }

    #[test]
    fn a_body_is_looked_at_as_text_or_as_json() {
        let json = |path: &str, equals: &str| BodyExpectation::Json {
            path: path.parse().unwrap(),
            equals: equals.to_owned(),
        };
        let body = br#"{"status": "up", "checks": [{"name": "db", "ok": true, "n": 3}]}"#;
        assert!(json(".status", "up").holds(body));
        assert!(!json(".status", "down").holds(body));
        assert!(json(".checks[0].ok", "true").holds(body));
        assert!(json(".checks[0].n", "3").holds(body));
        assert!(!json(".checks[1].n", "3").holds(body));
        assert!(!json(".status", "up").holds(b"up"), "no JSON");
        assert!(BodyExpectation::Contains("up".to_owned()).holds(body));
        for path in ["status", ".", ".a[", ".a[x]", "{.a}", "", ".a..b"] {
            assert!(path.parse::<JsonPath>().is_err(), "{path}");
        }
    }

    #[test]
    fn annotations_say_it_in_one_line() {
        let read = |name, value| ProbeSetting::read(name, value).unwrap();
        assert_eq!(
            read(annotations::PROBE_PATH, "/healthz, /api"),
            Ok(ProbeSetting::Paths(vec!["/healthz".into(), "/api".into()]))
        );
        assert_eq!(
            read(
                annotations::PROBE_HEADERS,
                "x-tenant: probe\nAccept: text/html, */*\n"
            ),
            Ok(ProbeSetting::Headers(
                [
                    ("x-tenant".into(), "probe".into()),
                    ("Accept".into(), "text/html, */*".into())
                ]
                .into()
            ))
        );
        assert_eq!(
            read(annotations::PROBE_EXPECTED_BODY, ".status=up").map(|setting| matches!(
                setting,
                ProbeSetting::ExpectedBody(BodyExpectation::Json { .. })
            )),
            Ok(true)
        );
        for (name, value) in [
            (annotations::PROBE_PATH, "healthz"),
            (annotations::PROBE_PATH, "/a,/a"),
            (annotations::PROBE_PATH, "/a b"),
            (annotations::PROBE_METHOD, "DELETE"),
            (annotations::PROBE_HEADERS, "x-tenant"),
            (annotations::PROBE_HEADERS, "Host: elsewhere"),
            (annotations::PROBE_EXPECTED_STATUS, "ok"),
            (annotations::PROBE_EXPECTED_BODY, ""),
        ] {
            assert!(read(name, value).is_err(), "{name}: {value:?}");
        }
        assert_eq!(ProbeSetting::read(annotations::POLICY, "fast"), None);
    }
}
