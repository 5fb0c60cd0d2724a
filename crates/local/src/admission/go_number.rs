//! Numbers with a fraction in Go's notation, as annotations carry them.

/// Reads what Go's `strconv.ParseFloat` reads: digits may have underscores between them, and
/// hexadecimal digits an exponent of two. `None` for what it refuses.
pub fn float(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.starts_with(['-', '+']) {
        return None;
    }
    match digits.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        // A number that is none has no sign.
        "nan" => return (digits == text).then_some(f64::NAN),
        _ => {}
    }
    let plain = without_underscores(digits)?;
    let number = match plain
        .strip_prefix("0x")
        .or_else(|| plain.strip_prefix("0X"))
    {
        Some(rest) => hexadecimal(rest)?,
        None => plain.parse::<f64>().ok()?,
    };
    number.is_finite().then_some(sign * number)
}

/// An underscore stands between two digits, or between the prefix and a digit.
fn without_underscores(digits: &str) -> Option<String> {
    let letters: Vec<char> = digits.chars().collect();
    let is_digit = |at: Option<usize>| {
        let letter = at.and_then(|at| letters.get(at));
        letter.is_some_and(|letter| letter.is_ascii_hexdigit() || matches!(letter, 'x' | 'X'))
    };
    let misplaced = letters.iter().enumerate().any(|(at, letter)| {
        *letter == '_' && !(is_digit(at.checked_sub(1)) && is_digit(Some(at + 1)))
    });
    (!misplaced).then(|| digits.replace('_', ""))
}

fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digit = |letter: char| letter.to_digit(16).map(f64::from);
    let mut value = 0.0;
    for letter in whole.chars() {
        value = value * 16.0 + digit(letter)?;
    }
    let mut scale = 1.0;
    for letter in fraction.chars() {
        scale /= 16.0;
        value += digit(letter)? * scale;
    }
    Some(value * 2f64.powi(exponent.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::float;

    #[test]
    fn go_notation_is_read_and_anything_else_refused() {
        for (text, number) in [
            ("1", 1.0),
            ("-0.5", -0.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e2", 100.0),
            ("+1", 1.0),
            ("1_0", 10.0),
            ("0x1p4", 16.0),
            ("0x.8p0", 0.5),
            ("Inf", f64::INFINITY),
        ] {
            assert_eq!(float(text), Some(number), "{text}");
        }
        assert!(float("NaN").is_some_and(f64::is_nan));
        for bad in [
            "", "x", "1_", "_1", "1__0", "0x1", "1e999", "--1", " 1", "-NaN", ".",
        ] {
            assert_eq!(float(bad), None, "{bad:?}");
        }
    }
}
