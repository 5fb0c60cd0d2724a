//! Kubernetes quantities, as far as telling whether two of them are the same amount.
//!
//! The server rewrites `1000m` as `1` and `1024Mi` as `1Gi`; that is no change.

/// An amount in millionths of a millionth (10^-12), exact for every quantity that Kubernetes can hold.
///
/// `None` for what is no quantity. Source of the grammar: apimachinery's
/// `resource.Quantity` (decimal SI, binary SI and decimal exponent).
pub fn parse(text: &str) -> Option<i128> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-')))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    // Twelve places hold the server's nano-units with room for a binary suffix.
    if !digits(whole) || !digits(fraction) || whole.len() > 18 || fraction.len() > 12 {
        return None;
    }
    let scaled: i128 = format!("{whole}{fraction:0<12}").parse().ok()?;
    let amount = match suffix {
        "" => scaled,
        "n" => scaled / 1_000_000_000,
        "u" => scaled / 1_000_000,
        "m" => scaled / 1_000,
        "k" => scaled.checked_mul(1_000)?,
        "M" => scaled.checked_mul(1_000_000)?,
        "G" => scaled.checked_mul(1_000_000_000)?,
        "T" => scaled.checked_mul(1_000_000_000_000)?,
        "P" => scaled.checked_mul(1_000_000_000_000_000)?,
        "E" => scaled.checked_mul(1_000_000_000_000_000_000)?,
        "Ki" => scaled.checked_mul(1 << 10)?,
        "Mi" => scaled.checked_mul(1 << 20)?,
        "Gi" => scaled.checked_mul(1 << 30)?,
        "Ti" => scaled.checked_mul(1 << 40)?,
        "Pi" => scaled.checked_mul(1 << 50)?,
        "Ei" => scaled.checked_mul(1 << 60)?,
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let factor = 10i128.checked_pow(power.unsigned_abs())?;
            if power < 0 {
                scaled / factor
            } else {
                scaled.checked_mul(factor)?
            }
        }
    };
    Some(if negative { -amount } else { amount })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_amount_in_other_words_is_the_same() {
        for (a, b) in [
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("0.5", "500m"),
            ("1e3", "1k"),
            ("2E3", "2000"),
            ("1.5Gi", "1536Mi"),
            ("100000000n", "100m"),
            ("1E", "1000P"),
            ("+5", "5"),
        ] {
            assert!(parse(a).is_some(), "{a}");
            assert_eq!(parse(a), parse(b), "{a} {b}");
        }
    }

    #[test]
    fn other_amounts_and_other_words_are_not() {
        assert_ne!(parse("1G"), parse("1Gi"));
        assert_ne!(parse("1"), parse("1m"));
        for text in ["", "abc", "1x", "Mi", "1.2.3", "--1", "1e99"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
