//! Label and field selectors: parsed once a request, asked once an object.

mod labels;

use super::Stored;
use crate::model::resource::Resource;
use crate::model::status::ApiError;
use labels::Rule;

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
        let labels = labels::parse(labels.unwrap_or_default())?;
        let fields = parse_fields(fields.unwrap_or_default())?;
        for (field, _, _) in &fields {
            let known = matches!(field.as_str(), "metadata.name" | "metadata.namespace")
                || resource.selectable.contains(field);
            if !known {
                return Err(not_selectable(resource, field));
            }
        }
        Ok(Self { labels, fields })
    }

    /// Whether both can be read, whatever fields the resource offers.
    pub fn check_syntax(labels: Option<&str>, fields: Option<&str>) -> Result<(), ApiError> {
        labels::parse(labels.unwrap_or_default())?;
        parse_fields(fields.unwrap_or_default())?;
        Ok(())
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

/// Kinds with fields of their own and custom kinds say it in other words than the rest.
fn not_selectable(resource: &Resource, field: &str) -> ApiError {
    let plain = resource.is_kubernetes_own() && resource.selectable.is_empty();
    ApiError::bad_request(if plain {
        format!(
            "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        )
    } else {
        format!("field label not supported: {field}")
    })
}

/// Field selectors: `metadata.name=a,status.phase!=Failed`; a backslash takes what follows
/// it into the value.
fn parse_fields(text: &str) -> Result<Vec<(String, String, bool)>, ApiError> {
    let mut fields = Vec::new();
    for term in terms(text) {
        if term.is_empty() {
            continue;
        }
        let split = term.find(['=', '!']).map(|at| term.split_at(at));
        let known = split.and_then(|(field, rest)| {
            let (value, equal) = if let Some(value) = rest.strip_prefix("!=") {
                (value, false)
            } else if let Some(value) = rest.strip_prefix("==") {
                (value, true)
            } else {
                (rest.strip_prefix('=')?, true)
            };
            Some((field, value, equal))
        });
        let Some((field, value, equal)) = known else {
            return Err(ApiError::bad_request(format!(
                "invalid selector: '{text}'; can't understand '{term}'"
            )));
        };
        fields.push((field.to_owned(), unescaped(value)?, equal));
    }
    Ok(fields)
}

/// The terms between commas that no backslash takes.
fn terms(text: &str) -> Vec<&str> {
    let mut escaped = false;
    text.split(|c| {
        let was = escaped;
        escaped = c == '\\' && !was;
        c == ',' && !was
    })
    .collect()
}

fn unescaped(value: &str) -> Result<String, ApiError> {
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(next @ ('\\' | ',' | '=')) => plain.push(next),
                next => {
                    let sequence: String = std::iter::once('\\').chain(next).collect();
                    return Err(ApiError::bad_request(format!(
                        "invalid field selector: invalid escape sequence: {sequence}"
                    )));
                }
            },
            ',' | '=' => {
                return Err(ApiError::bad_request(format!(
                    "invalid field selector: unescaped character in value: {}",
                    u32::from(c)
                )));
            }
            c => plain.push(c),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_in_kubernetes_words() {
        let words = |text: &str| parse_fields(text).unwrap_err().message;
        assert_eq!(
            words("metadata.name"),
            "invalid selector: 'metadata.name'; can't understand 'metadata.name'"
        );
        assert_eq!(
            words("a=b=c"),
            "invalid field selector: unescaped character in value: 61"
        );
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
