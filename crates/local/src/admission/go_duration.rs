//! Durations in Go's notation (`1h30m`, `-1.5s`), as annotations carry them.

/// A signed span in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(i64);

impl GoDuration {
    /// A span of whole seconds.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds * SECOND)
    }

    /// Whether it has no part of a second.
    pub const fn is_whole_seconds(self) -> bool {
        self.0 % SECOND == 0
    }

    /// Whole seconds, rounded towards zero.
    pub const fn seconds(self) -> i64 {
        self.0 / SECOND
    }

    /// Reads what Go's `time.ParseDuration` reads; `None` for what it refuses.
    pub fn parse(text: &str) -> Option<Self> {
        let (sign, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Some(Self(0));
        }
        if rest.is_empty() {
            return None;
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, tail) = rest.split_at(end);
            let end = tail
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(end);
            total = total.checked_add(scaled(number, unit_of(unit)?)?)?;
            rest = tail;
        }
        i64::try_from(total * sign).ok().map(Self)
    }
}

const SECOND: i64 = 1_000_000_000;

fn unit_of(unit: &str) -> Option<i64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3_600 * SECOND,
        _ => return None,
    })
}

fn scaled(number: &str, unit: i64) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = |text: &str| -> Option<i128> {
        match text {
            "" => Some(0),
            _ => text.parse().ok(),
        }
    };
    // Go drops what is below a nanosecond; 18 digits hold every unit.
    let fraction = fraction.get(..18).unwrap_or(fraction);
    let scale = 10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let whole = digits(whole)?.checked_mul(i128::from(unit))?;
    Some(whole + digits(fraction)? * i128::from(unit) / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_notation_is_read_and_anything_else_refused() {
        assert_eq!(
            GoDuration::parse("1h0m0s"),
            Some(GoDuration::from_secs(3600))
        );
        assert_eq!(GoDuration::parse("1.5m"), Some(GoDuration::from_secs(90)));
        assert_eq!(GoDuration::parse("-2s"), Some(GoDuration::from_secs(-2)));
        assert_eq!(GoDuration::parse("0"), Some(GoDuration::from_secs(0)));
        assert!(!GoDuration::parse("1500ms").unwrap().is_whole_seconds());
        for bad in ["", "5", "s", "1x", "five", "1h 2m", "."] {
            assert_eq!(GoDuration::parse(bad), None, "{bad:?}");
        }
    }
}
