//! Kubernetes quantities in their canonical form: `1000m` is `1`, `1024Mi` is `1Gi`.
//!
//! The webhook decodes and encodes every object, and this is what that does to a
//! quantity (`k8s.io/apimachinery/pkg/api/resource`).

/// How the number is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Notation {
    BinarySi,
    DecimalSi,
    Exponent,
}

/// An amount in nano units, and the notation that it came in.
struct Quantity {
    nanos: i128,
    notation: Notation,
}

/// Why a text is no quantity, in the words of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// It does not have a quantity's form.
    #[error(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Malformed,
    /// Its suffix means nothing.
    #[error("unable to parse quantity's suffix")]
    UnknownSuffix,
}

const NANO: i128 = 1_000_000_000;

/// The canonical text of a quantity; `None` where it is not one.
pub fn canonical(text: &str) -> Option<String> {
    let quantity = parse(text)?;
    if stays_as_it_is(text) {
        return Some(text.to_owned());
    }
    Some(quantity.print())
}

/// Returns the canonical text of a quantity that came in JSON, where spaces around it do no harm.
///
/// # Errors
/// When it is no quantity.
pub fn read(text: &str) -> Result<String, QuantityError> {
    let text = text.trim();
    canonical(text).ok_or_else(|| {
        let suffix = text
            .trim_start_matches(['-', '+'])
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let exponent = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        let fits = !suffix.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
        if fits {
            QuantityError::UnknownSuffix
        } else {
            QuantityError::Malformed
        }
    })
}

/// Whether Kubernetes takes a text for canonical without a closer look, a sign or a capital `E`
/// included.
fn stays_as_it_is(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let unsigned = unsigned.trim_start_matches('0');
    let (number, suffix) = split(unsigned);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole = if whole.is_empty() { "0" } else { whole };
    let digits = format!("{whole}{fraction}");
    let Some((multiplier, divisor, notation)) = suffix_of(suffix) else {
        return false;
    };
    if notation == Notation::BinarySi {
        // A number of about fifteen digits, a multiple of eight not among them.
        let exponent = multiplier.trailing_zeros();
        let size = digits.len() + usize::try_from(exponent * 3 / 10).unwrap_or(usize::MAX) + 1;
        return fraction.is_empty()
            && size <= 15
            && digits.parse::<i64>().is_ok_and(|value| value & 7 != 0);
    }
    let power = |of: i128| i64::from(of.ilog10());
    let scale = power(multiplier) - power(divisor) - i64::try_from(fraction.len()).unwrap_or(99);
    digits.len() <= 18
        && scale >= -9
        && scale % 3 == 0
        && !digits.ends_with("000")
        && !digits.starts_with('0')
}

/// The number and what stands behind it.
fn split(unsigned: &str) -> (&str, &str) {
    let end = unsigned
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(unsigned.len());
    unsigned.split_at(end)
}

/// Whether two quantities are the same amount; unreadable ones are compared as text.
pub fn same_amount(a: &str, b: &str) -> bool {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => a.nanos == b.nanos,
        _ => a == b,
    }
}

/// The amount in thousand-millionths, rounded up as Kubernetes keeps it; `None` where it is none.
pub fn nanos(text: &str) -> Option<i128> {
    parse(text.trim()).map(|quantity| quantity.nanos)
}

/// The amount in thousandths, rounded up; `None` where it is none.
pub fn milli(text: &str) -> Option<i128> {
    const NANOS: i128 = NANO / 1000;
    parse(text)
        .map(|quantity| quantity.nanos.div_euclid(NANOS) + i128::from(quantity.nanos % NANOS != 0))
}

/// Whether the amount is below zero.
pub fn is_negative(text: &str) -> bool {
    parse(text).is_some_and(|quantity| quantity.nanos < 0)
}

fn parse(text: &str) -> Option<Quantity> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (number, suffix) = split(unsigned);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if text.is_empty() || fraction.contains('.') {
        return None;
    }
    let (multiplier, divisor, notation) = suffix_of(suffix)?;
    // No digits at all are nought.
    let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let scale = 10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let numerator = digits.checked_mul(multiplier)?.checked_mul(NANO)?;
    let denominator = scale.checked_mul(divisor)?;
    // What is below a nano is rounded up, as Kubernetes does.
    let nanos = numerator / denominator + i128::from(numerator % denominator != 0);
    Some(Quantity {
        nanos: nanos * sign,
        notation,
    })
}

/// Multiplier, divisor and notation of a suffix.
fn suffix_of(suffix: &str) -> Option<(i128, i128, Notation)> {
    let decimal = |power: u32| (10i128.pow(power), 1, Notation::DecimalSi);
    let small = |power: u32| (1, 10i128.pow(power), Notation::DecimalSi);
    let binary = |power: u32| (1024i128.pow(power), 1, Notation::BinarySi);
    Some(match suffix {
        "" => decimal(0),
        "n" => small(9),
        "u" => small(6),
        "m" => small(3),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10i128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 {
                (1, power, Notation::Exponent)
            } else {
                (power, 1, Notation::Exponent)
            }
        }
    })
}

impl Quantity {
    fn print(&self) -> String {
        let whole = self.nanos % NANO == 0;
        // Binary suffixes are for whole amounts of at least 1024; the rest is decimal.
        if self.notation == Notation::BinarySi && whole && self.nanos.abs() >= 1024 * NANO {
            let mut amount = self.nanos / NANO;
            let mut power = 0;
            while power < 6 && amount % 1024 == 0 {
                amount /= 1024;
                power += 1;
            }
            let suffix = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].get(power);
            return format!("{amount}{}", suffix.unwrap_or(&""));
        }
        let mut amount = self.nanos;
        let mut power = -9;
        if amount == 0 {
            return "0".to_owned();
        }
        while power < 18 && amount % 1000 == 0 {
            amount /= 1000;
            power += 3;
        }
        if self.notation == Notation::Exponent {
            return match power {
                0 => format!("{amount}"),
                _ => format!("{amount}e{power}"),
            };
        }
        let suffix = match power {
            -9 => "n",
            -6 => "u",
            -3 => "m",
            3 => "k",
            6 => "M",
            9 => "G",
            12 => "T",
            15 => "P",
            18 => "E",
            _ => "",
        };
        format!("{amount}{suffix}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_written_as_kubernetes_writes_them() {
        for (from, to) in [
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("0.5", "500m"),
            ("1.5Gi", "1536Mi"),
            ("128Mi", "128Mi"),
            ("512Ki", "512Ki"),
            ("100Mi", "100Mi"),
            ("1000000", "1M"),
            ("1e3", "1e3"),
            ("0", "0"),
            ("-250m", "-250m"),
            ("0.1m", "100u"),
            ("1E3", "1E3"),
            ("+1", "+1"),
            ("+1000m", "1"),
            ("m", "0"),
        ] {
            assert_eq!(canonical(from).as_deref(), Some(to), "{from}");
        }
        for bad in ["", "1.2.3", "1X", "one"] {
            assert_eq!(canonical(bad), None, "{bad:?}");
        }
        assert_eq!(read(" 20m "), Ok("20m".to_owned()));
        assert_eq!(read("1mm"), Err(QuantityError::UnknownSuffix));
        assert_eq!(read("1 Gi"), Err(QuantityError::Malformed));
    }

    #[test]
    fn amounts_compare_by_what_they_are() {
        assert!(same_amount("1", "1000m"));
        assert!(!same_amount("1", "1k"));
        assert!(is_negative("-1Mi"));
    }

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
            assert!(nanos(a).is_some(), "{a}");
            assert_eq!(nanos(a), nanos(b), "{a} {b}");
        }
        assert_ne!(nanos("1G"), nanos("1Gi"));
        assert_ne!(nanos("1"), nanos("1m"));
        for text in ["", "abc", "1x", "1.2.3", "--1", "1e99"] {
            assert_eq!(nanos(text), None, "{text}");
        }
    }
}
