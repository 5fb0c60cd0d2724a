//! What a plain word in YAML means: as kubectl reads it.
//!
//! kubectl (sigs.k8s.io/yaml over go-yaml 2) is followed and not YAML 1.2, because the
//! same file must mean the same to `kubectl apply` and to Sluice: `yes`, `on` and `y`
//! are booleans, `0777` is octal, `08` is eight, `1_000` a thousand, a date is a string,
//! and `1.0` is the integer 1 once it is JSON.

use serde_json::Number;

use super::node::Kind;
use super::words::{Words, say};

/// What a plain (unquoted, untagged) scalar means; `Err` says why JSON cannot hold it.
pub(super) fn plain(text: &str) -> Result<Kind, Words> {
    if let Some(word) = word(text) {
        return word;
    }
    match text.as_bytes().first() {
        Some(b'.') => Ok(float(text).unwrap_or_else(|| string(text))),
        Some(b'0'..=b'9' | b'+' | b'-') => Ok(number(text).unwrap_or_else(|| string(text))),
        _ => Ok(string(text)),
    }
}

/// What a scalar with a core tag (`!!int`) means; `None` where it cannot be that.
pub(super) fn tagged(tag: &str, text: &str) -> Option<Kind> {
    let kind = match tag {
        "str" => return Some(string(text)),
        "binary" => return binary(text),
        _ => plain(text).ok()?,
    };
    let fits = match (tag, &kind) {
        ("null", Kind::Null) | ("bool", Kind::Bool(_)) => true,
        ("int", Kind::Number(number)) => !number.is_f64(),
        ("float", Kind::Number(_)) => true,
        ("timestamp", Kind::String(_)) => true,
        _ => false,
    };
    fits.then_some(kind)
}

fn string(text: &str) -> Kind {
    Kind::String(text.to_owned())
}

fn word(text: &str) -> Option<Result<Kind, Words>> {
    Some(Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Kind::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Kind::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => {
            let words = say("").quote(text);
            return Some(Err(
                words.ours(" is a number that JSON, and so Kubernetes, does not have")
            ));
        }
        _ => return None,
    }))
}

fn number(text: &str) -> Option<Kind> {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    integer(&plain).or_else(|| {
        // `0b` was handled as an integer; what is left is decimal, with or without exponent.
        is_decimal(&plain).then(|| float(&plain)).flatten()
    })
}

/// `strconv.ParseInt(text, 0, 64)`: the prefix says the base, and a leading 0 is octal.
fn integer(text: &str) -> Option<Kind> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, lower.get(2..)?),
        [b'0', b'o', ..] => (8, lower.get(2..)?),
        [b'0', b'b', ..] => (2, lower.get(2..)?),
        [b'0', _, ..] => (8, lower.get(1..)?),
        _ => (10, lower.as_str()),
    };
    // from_str_radix would take a second sign.
    if digits.is_empty() || digits.starts_with(['+', '-']) {
        return None;
    }
    let size = u64::from_str_radix(digits, base).ok()?;
    let number = if negative {
        Number::from(0_i64.checked_sub_unsigned(size)?)
    } else {
        Number::from(size)
    };
    Some(Kind::Number(number))
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let exponent_fits = exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)));
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", after)) => digits(after),
        Some((before, after)) => digits(before) && (after.is_empty() || digits(after)),
        None => digits(mantissa),
    };
    exponent_fits && mantissa_fits
}

fn float(text: &str) -> Option<Kind> {
    if !is_decimal(text) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    // Go writes the float 1.0 as the JSON number 1, which the API server takes for an integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        return Some(Kind::Number(Number::from(value as i64)));
    }
    Number::from_f64(value).map(Kind::Number)
}

fn binary(text: &str) -> Option<Kind> {
    use base64::Engine;
    let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(packed)
        .ok()?;
    String::from_utf8(bytes).ok().map(Kind::String)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::node::{At, Node};
    use expect_test::expect;

    #[test]
    fn plain_words_mean_what_they_mean_to_kubectl() {
        let words = [
            "yes",
            "Y",
            "on",
            "off",
            "no",
            "True",
            "tRUE",
            "null",
            "~",
            "",
            "NULL",
            "0777",
            "0o17",
            "08",
            "0x1F",
            "0b101",
            "-12",
            "+3",
            "1_000",
            "1.0",
            "1.10",
            ".5",
            "1e3",
            "1E+2",
            "-0x10",
            "1.5e-3",
            "12e",
            "1.2.3",
            "2026-11-23",
            "12:30",
            "100m",
            "0.5Gi",
            "v1",
            "-",
            "+",
            ".",
            "9223372036854775807",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775808",
            "0_1",
            "1e400",
            "--1",
            "0x",
            ".inf",
            "_1",
            "0.0",
            "-0",
            "1.",
            "0_",
            "+0x10",
            "0B1",
            "1e21",
            "1e20",
            "0777_",
            "5.e3",
            "._",
            "+.5",
            "-.5",
            "0x_1",
        ];
        let lines: String = words
            .iter()
            .map(|word| match plain(word) {
                Ok(kind) => format!("{word} -> {}\n", Node::new(At::default(), kind).to_json()),
                Err(error) => format!("{word} -> error: {}\n", error.text(true)),
            })
            .collect();
        expect![[r#"
            yes -> true
            Y -> true
            on -> true
            off -> false
            no -> false
            True -> true
            tRUE -> "tRUE"
            null -> null
            ~ -> null
             -> null
            NULL -> null
            0777 -> 511
            0o17 -> 15
            08 -> 8
            0x1F -> 31
            0b101 -> 5
            -12 -> -12
            +3 -> 3
            1_000 -> 1000
            1.0 -> 1
            1.10 -> 1.1
            .5 -> 0.5
            1e3 -> 1000
            1E+2 -> 100
            -0x10 -> -16
            1.5e-3 -> 0.0015
            12e -> "12e"
            1.2.3 -> "1.2.3"
            2026-11-23 -> "2026-11-23"
            12:30 -> "12:30"
            100m -> "100m"
            0.5Gi -> "0.5Gi"
            v1 -> "v1"
            - -> "-"
            + -> "+"
            . -> "."
            9223372036854775807 -> 9223372036854775807
            18446744073709551615 -> 18446744073709551615
            18446744073709551616 -> 1.8446744073709552e+19
            -9223372036854775808 -> -9223372036854775808
            0_1 -> 1
            1e400 -> "1e400"
            --1 -> "--1"
            0x -> "0x"
            .inf -> error: .inf is a number that JSON, and so Kubernetes, does not have
            _1 -> "_1"
            0.0 -> 0
            -0 -> 0
            1. -> 1
            0_ -> 0
            +0x10 -> 16
            0B1 -> 1
            1e21 -> 1e+21
            1e20 -> 1e+20
            0777_ -> 511
            5.e3 -> 5000
            ._ -> "._"
            +.5 -> 0.5
            -.5 -> -0.5
            0x_1 -> 1
        "#]]
        .assert_eq(&lines);
    }

    #[test]
    fn a_tag_says_what_a_scalar_is() {
        assert_eq!(tagged("str", "123"), Some(Kind::String("123".into())));
        assert_eq!(tagged("int", "3"), Some(Kind::Number(3.into())));
        assert_eq!(tagged("int", "three"), None);
        assert_eq!(tagged("binary", "aGk="), Some(Kind::String("hi".into())));
    }
}
