//! Label selectors, as text: `app=hello,tier in (web, db),!gone,n>7`.
//!
//! The grammar, what is let pass and the words about what is not are those of
//! `k8s.io/apimachinery/pkg/labels`.

use std::num::ParseIntError;

use crate::model::names;
use crate::model::status::ApiError;

/// What is asked of one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// It is there.
    Exists,
    /// It is not there.
    Absent,
    /// It has one of these values.
    In(Vec<String>),
    /// It has none of these values, or is not there.
    NotIn(Vec<String>),
    /// It is a number above this one.
    Above(i64),
    /// It is a number below this one.
    Below(i64),
}

impl Rule {
    /// Whether a label's value, or its absence, is what is asked for.
    pub fn allows(&self, value: Option<&str>) -> bool {
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

/// Why a text is no selector.
#[derive(Debug, thiserror::Error)]
enum SelectorError {
    #[error("found '{found}', expected: {expected}")]
    Unexpected {
        found: String,
        expected: &'static str,
    },
    #[error("found '{0}' expected: '('")]
    NoList(String),
    #[error("unable to parse requirement: {0}")]
    Requirement(#[source] Box<Self>),
    #[error("{place}: Invalid value: {text:?}: {why}")]
    Invalid {
        place: String,
        text: String,
        why: String,
    },
    #[error(
        "values[0]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
    )]
    NoNumber {
        value: String,
        source: ParseIntError,
    },
}

/// Parses a selector: labels with what is asked of each.
pub fn parse(text: &str) -> Result<Vec<(String, Rule)>, ApiError> {
    Parser {
        tokens: tokens(text),
        at: 0,
    }
    .parse()
    .map_err(|error| ApiError::bad_request(error.to_string()))
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    End,
    Word(String),
    Symbol(&'static str),
}

impl Token {
    /// The token as errors quote it.
    fn text(&self) -> &str {
        match self {
            Self::End => "",
            Self::Word(word) => word,
            Self::Symbol(symbol) => symbol,
        }
    }

    /// It stands where something else has to.
    fn instead_of(&self, expected: &'static str) -> SelectorError {
        SelectorError::Unexpected {
            found: self.text().to_owned(),
            expected,
        }
    }
}

const SYMBOLS: &[&str] = &["==", "!=", "=", "!", ">", "<", "(", ")", ","];

fn tokens(text: &str) -> Vec<Token> {
    let is_special = |c: char| SYMBOLS.iter().any(|symbol| symbol.starts_with(c));
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        if rest.is_empty() {
            tokens.push(Token::End);
            return tokens;
        }
        if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            tokens.push(Token::Symbol(symbol));
            rest = rest.strip_prefix(symbol).unwrap_or_default();
            continue;
        }
        let end = rest
            .find(|c: char| is_special(c) || matches!(c, ' ' | '\t' | '\r' | '\n'))
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        tokens.push(Token::Word(word.to_owned()));
        rest = after;
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn parse(mut self) -> Result<Vec<(String, Rule)>, SelectorError> {
        let mut rules = Vec::new();
        loop {
            match self.peek() {
                Token::End => return Ok(rules),
                Token::Word(_) | Token::Symbol("!") => {}
                other => {
                    return Err(other.instead_of("!, identifier, or 'end of string'"));
                }
            }
            let rule = self
                .requirement()
                .map_err(|why| SelectorError::Requirement(Box::new(why)))?;
            rules.push(rule);
            match self.next() {
                Token::End => return Ok(rules),
                Token::Symbol(",") => {
                    let next = self.peek();
                    if !matches!(next, Token::Word(_) | Token::Symbol("!")) {
                        return Err(next.instead_of("identifier after ','"));
                    }
                }
                other => return Err(other.instead_of("',' or 'end of string'")),
            }
        }
    }

    fn requirement(&mut self) -> Result<(String, Rule), SelectorError> {
        let mut token = self.next();
        let absent = token == Token::Symbol("!");
        if absent {
            token = self.next();
        }
        let Token::Word(key) = token else {
            return Err(token.instead_of("identifier"));
        };
        check("<nil>", &key, names::qualified(&key))?;
        if absent {
            return Ok((key, Rule::Absent));
        }
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Ok((key, Rule::Exists));
        }
        let operator = self.next();
        let rule = match operator.text() {
            "in" => Rule::In(self.values()?),
            "notin" => Rule::NotIn(self.values()?),
            "=" | "==" => Rule::In(vec![self.exact_value()?]),
            "!=" => Rule::NotIn(vec![self.exact_value()?]),
            ">" => Rule::Above(self.number()?),
            "<" => Rule::Below(self.number()?),
            _ => return Err(operator.instead_of("in, notin, =, ==, !=, gt, lt")),
        };
        if let Rule::In(values) | Rule::NotIn(values) = &rule {
            for (at, value) in values.iter().enumerate() {
                let wrong = names::label_value(value);
                check(&format!("values[{at}][{key}]"), value, wrong)?;
            }
        }
        Ok((key, rule))
    }

    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        let open = self.next();
        if open != Token::Symbol("(") {
            return Err(SelectorError::NoList(open.text().to_owned()));
        }
        match self.peek() {
            Token::Word(_) | Token::Symbol(",") => {}
            Token::Symbol(")") => {
                self.next();
                return Ok(vec![String::new()]);
            }
            other => return Err(other.instead_of("',', ')' or identifier")),
        }
        // Between two commas, and at either end, stands the empty value.
        let mut values = Vec::new();
        let mut empty = true;
        loop {
            match self.next() {
                Token::Word(word) => {
                    values.push(word);
                    empty = false;
                    let next = self.peek();
                    if !matches!(next, Token::Symbol("," | ")")) {
                        return Err(next.instead_of("',' or ')'"));
                    }
                }
                Token::Symbol(",") => {
                    if empty {
                        values.push(String::new());
                    }
                    empty = true;
                }
                Token::Symbol(")") => {
                    if empty {
                        values.push(String::new());
                    }
                    values.sort();
                    values.dedup();
                    return Ok(values);
                }
                other => return Err(other.instead_of("',', or identifier")),
            }
        }
    }

    fn exact_value(&mut self) -> Result<String, SelectorError> {
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Ok(String::new());
        }
        match self.next() {
            Token::Word(word) => Ok(word),
            other => Err(other.instead_of("identifier")),
        }
    }

    fn number(&mut self) -> Result<i64, SelectorError> {
        let value = self.exact_value()?;
        let number = value.parse();
        number.map_err(|source| SelectorError::NoNumber { value, source })
    }
}

fn check(place: &str, text: &str, wrong: Vec<String>) -> Result<(), SelectorError> {
    if wrong.is_empty() {
        return Ok(());
    }
    Err(SelectorError::Invalid {
        place: place.to_owned(),
        text: text.to_owned(),
        why: wrong.join("; "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(selector: &str, labels: &[(&str, &str)]) -> bool {
        parse(selector).unwrap().iter().all(|(key, rule)| {
            let found = labels.iter().find(|(k, _)| k == key);
            rule.allows(found.map(|(_, value)| *value))
        })
    }

    #[test]
    fn every_form_of_requirement_is_understood() {
        let labels = [("app", "hello"), ("tier", "web"), ("n", "7"), ("in", "in")];
        for yes in [
            "",
            "app",
            "!gone",
            "app=hello",
            "app == hello",
            "app!=other",
            "app in (a, hello)",
            "app in (,hello)",
            "gone notin (x)",
            "gone notin ()",
            "gone!=x",
            "gone!=",
            "n>6",
            "n<8",
            "in in (in)",
            "app in (hello),tier=web",
        ] {
            assert!(allows(yes, &labels), "{yes}");
        }
        for no in [
            "gone",
            "!app",
            "app=other",
            "app=",
            "app notin (hello,b)",
            "n>7",
            "app,tier=db",
        ] {
            assert!(!allows(no, &labels), "{no}");
        }
    }

    /// The words were seen on a Kubernetes 1.34.
    #[test]
    fn nonsense_is_refused_in_kubernetes_words() {
        for (bad, words) in [
            (
                "a b",
                "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
            ),
            (
                "a in",
                "unable to parse requirement: found '' expected: '('",
            ),
            (
                "a in (",
                "unable to parse requirement: found '', expected: ',', ')' or identifier",
            ),
            (
                "=x",
                "found '=', expected: !, identifier, or 'end of string'",
            ),
            (
                "a>b",
                "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
            (
                "!",
                "unable to parse requirement: found '', expected: identifier",
            ),
            ("a=b=c", "found '=', expected: ',' or 'end of string'"),
            ("a,,b", "found ',', expected: identifier after ','"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            (
                "a gt 5",
                "unable to parse requirement: found 'gt', expected: in, notin, =, ==, !=, gt, lt",
            ),
        ] {
            let error = parse(bad).unwrap_err();
            assert_eq!((error.code, error.message.as_str()), (400, words), "{bad}");
        }
        assert!(
            parse("-a").unwrap_err().message.starts_with(
                "unable to parse requirement: <nil>: Invalid value: \"-a\": name part"
            )
        );
    }
}
