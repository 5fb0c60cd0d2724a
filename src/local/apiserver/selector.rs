//! Label and field selectors: parsed once a request, asked once an object.

use super::resource::Resource;
use super::status::ApiError;
use super::store::Stored;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

/// Which objects are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    labels: Vec<(String, Rule)>,
    /// Field, wanted value, and whether it must be equal (or must not).
    fields: Vec<(String, String, bool)>,
}

impl Selector {
    /// Parses both selectors; a field must be one that the resource offers.
    pub fn parse(
        resource: &Resource,
        labels: Option<&str>,
        fields: Option<&str>,
    ) -> Result<Self, ApiError> {
        let labels = parse_labels(labels.unwrap_or_default())?;
        let fields = parse_fields(fields.unwrap_or_default())?;
        for (field, _, _) in &fields {
            let known = matches!(field.as_str(), "metadata.name" | "metadata.namespace")
                || resource.selectable.contains(field);
            if !known {
                return Err(ApiError::bad_request(format!(
                    "field label not supported: {field}"
                )));
            }
        }
        Ok(Self { labels, fields })
    }

    /// Whether everything is meant.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// The one name that can match, where the selector names one.
    pub fn name(&self) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _, equal)| *equal && field == "metadata.name")
            .map(|(_, value, _)| value.as_str())
    }

    /// Whether the object is meant.
    pub fn matches(&self, object: &Stored) -> bool {
        self.labels.iter().all(|(key, rule)| {
            let value = object
                .labels
                .iter()
                .find(|(label, _)| label == key)
                .map(|(_, value)| value.as_str());
            rule.allows(value)
        }) && self.fields.iter().all(|(field, wanted, equal)| {
            let value = match field.as_str() {
                "metadata.name" => object.key.name.as_str(),
                "metadata.namespace" => object.key.namespace.as_str(),
                other => object
                    .fields
                    .iter()
                    .find(|(name, _)| name == other)
                    .map(|(_, value)| value.as_str())
                    .unwrap_or_default(),
            };
            (value == wanted) == *equal
        })
    }
}

impl Rule {
    fn allows(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::Exists => value.is_some(),
            Self::Absent => value.is_none(),
            Self::In(values) => value.is_some_and(|value| values.iter().any(|v| v == value)),
            Self::NotIn(values) => !value.is_some_and(|value| values.iter().any(|v| v == value)),
            Self::Above(limit) => number().is_some_and(|number| number > *limit),
            Self::Below(limit) => number().is_some_and(|number| number < *limit),
        }
    }
}

fn parse_labels(text: &str) -> Result<Vec<(String, Rule)>, ApiError> {
    split_outside_parentheses(text)
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            parse_requirement(part).ok_or_else(|| {
                ApiError::bad_request(format!(
                    "unable to parse requirement: \"{part}\" is not a label selector (key, !key, key=value, key!=value, key in (a,b), key notin (a,b), key>1, key<1)"
                ))
            })
        })
        .collect()
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}

fn parse_requirement(part: &str) -> Option<(String, Rule)> {
    if let Some(key) = part.strip_prefix('!') {
        return Some((label_key(key)?, Rule::Absent));
    }
    if let Some(list) = part.strip_suffix(')') {
        let (head, values) = list.split_once('(')?;
        let values = values.split(',').map(|v| v.trim().to_owned()).collect();
        let (key, word) = head.trim().rsplit_once(char::is_whitespace)?;
        let key = label_key(key)?;
        return match word {
            "in" => Some((key, Rule::In(values))),
            "notin" => Some((key, Rule::NotIn(values))),
            _ => None,
        };
    }
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some((key, value)) = part.split_once("!=") {
        return Some((label_key(key)?, Rule::NotIn(one(value))));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some((label_key(key)?, Rule::In(one(value))));
    }
    if let Some((key, value)) = part.split_once('>') {
        return Some((label_key(key)?, Rule::Above(value.trim().parse().ok()?)));
    }
    if let Some((key, value)) = part.split_once('<') {
        return Some((label_key(key)?, Rule::Below(value.trim().parse().ok()?)));
    }
    Some((label_key(part)?, Rule::Exists))
}

fn label_key(key: &str) -> Option<String> {
    let key = key.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    (!key.is_empty() && key.chars().all(plain)).then(|| key.to_owned())
}

fn parse_fields(text: &str) -> Result<Vec<(String, String, bool)>, ApiError> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        match (escaped, c) {
            (false, '\\') => escaped = true,
            (false, ',') => parts.push(String::new()),
            (_, c) => {
                escaped = false;
                if let Some(last) = parts.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    parts
        .iter()
        .map(|part| part.trim())
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (field, value, equal) = if let Some((field, value)) = part.split_once("!=") {
                (field, value, false)
            } else if let Some((field, value)) =
                part.split_once("==").or_else(|| part.split_once('='))
            {
                (field, value, true)
            } else {
                return Err(ApiError::bad_request(format!(
                    "invalid selector: '{part}'; can't understand '{part}'"
                )));
            };
            Ok((field.to_owned(), value.to_owned(), equal))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(selector: &str, labels: &[(&str, &str)]) -> bool {
        parse_labels(selector).unwrap().iter().all(|(key, rule)| {
            rule.allows(
                labels
                    .iter()
                    .find(|(k, _)| k == key)
                    .map(|(_, value)| *value),
            )
        })
    }

    #[test]
    fn every_form_of_requirement_is_understood() {
        let labels = [("app", "hello"), ("tier", "web"), ("n", "7")];
        for yes in [
            "",
            "app",
            "!gone",
            "app=hello",
            "app==hello",
            "app!=other",
            "app in (a, hello)",
            "gone notin (x)",
            "gone!=x",
            "n>6",
            "n<8",
            "app in (hello),tier=web",
        ] {
            assert!(allows(yes, &labels), "{yes}");
        }
        for no in [
            "gone",
            "!app",
            "app=other",
            "app notin (hello,b)",
            "n>7",
            "app,tier=db",
        ] {
            assert!(!allows(no, &labels), "{no}");
        }
    }

    #[test]
    fn nonsense_is_a_bad_request() {
        for bad in ["a b", "app in", "=x", "n>many"] {
            assert_eq!(parse_labels(bad).unwrap_err().code, 400, "{bad}");
        }
        assert_eq!(parse_fields("metadata.name").unwrap_err().code, 400);
    }

    #[test]
    fn escaped_commas_stay_in_the_value() {
        assert_eq!(
            parse_fields("a=x\\,y,b!=z").unwrap(),
            vec![
                ("a".to_owned(), "x,y".to_owned(), true),
                ("b".to_owned(), "z".to_owned(), false)
            ]
        );
    }
}
