//! Rules about numbers. Kubernetes tells whole numbers from others by how they are written, and cuts
//! what a rule says to a whole number before it holds one against it.

use serde_json::{Number, Value};

use super::rules::Bound;

/// Floats that are this near to a whole number are one.
const NEAR: f64 = 1e-9;

/// Whether a value is a number without a fraction.
pub(super) fn is_whole(value: &Value) -> bool {
    match value {
        Value::Number(number) if number.is_f64() => number.as_f64().is_some_and(whole),
        Value::Number(_) => true,
        _ => false,
    }
}

fn whole(number: f64) -> bool {
    let cut = number.trunc();
    number == cut || (cut != 0.0 && (number - cut).abs() / (number.abs() + cut.abs()) < NEAR)
}

/// Whether a value is one of an enumeration's: it is turned into that one's sort of number first.
pub(super) fn is_one(value: &Value, one: &Value) -> bool {
    match (value, one) {
        (Value::Number(value), Value::Number(one)) => {
            if one.is_f64() {
                value.as_f64() == one.as_f64()
            } else {
                cut(value) == cut(one)
            }
        }
        _ => !value.is_null() && value == one,
    }
}

fn cut(number: &Number) -> i128 {
    match (number.as_i64(), number.as_u64()) {
        (Some(whole), _) => whole.into(),
        (None, Some(whole)) => whole.into(),
        _ => number.as_f64().unwrap_or_default() as i128,
    }
}

/// A rule's number as it is held against another one: a whole one where that is one.
fn as_for(number: &Number, rule: &Number) -> Number {
    let is_whole_type = !number.is_f64();
    let float = rule.as_f64().unwrap_or_default();
    if is_whole_type || float.fract() == 0.0 {
        Number::from(float as i64)
    } else {
        rule.clone()
    }
}

/// What came of asking whether a number is a multiple of another.
pub(super) enum Multiple {
    Is,
    IsNot(Number),
    /// No number is a multiple of this.
    OfNothing(Number),
}

pub(super) fn multiple(number: &Number, factor: &Number) -> Multiple {
    let by = as_for(number, factor);
    let float = by.as_f64().unwrap_or_default();
    if float <= 0.0 {
        return Multiple::OfNothing(by);
    }
    let is = match (number.as_i64(), by.as_i64()) {
        (Some(number), Some(by)) => number % by == 0,
        _ => {
            let number = number.as_f64().unwrap_or_default();
            // As Kubernetes calculates it, rounding included.
            whole(if float < 1.0 {
                1.0 / float * number
            } else {
                number / float
            })
        }
    };
    if is {
        Multiple::Is
    } else {
        Multiple::IsNot(by)
    }
}

/// The limit that a number is below.
pub(super) fn below(number: &Number, bound: &Bound) -> Option<Number> {
    let limit = as_for(number, &bound.limit);
    let is_below = match (number.as_i64(), limit.as_i64()) {
        (Some(number), Some(limit)) => number < limit || (bound.exclusive && number == limit),
        _ => {
            let (number, limit) = (number.as_f64()?, limit.as_f64()?);
            number < limit || (bound.exclusive && number == limit)
        }
    };
    is_below.then_some(limit)
}

/// The limit that a number is above.
pub(super) fn above(number: &Number, bound: &Bound) -> Option<Number> {
    let limit = as_for(number, &bound.limit);
    let is_above = match (number.as_i64(), limit.as_i64()) {
        (Some(number), Some(limit)) => number > limit || (bound.exclusive && number == limit),
        _ => {
            let (number, limit) = (number.as_f64()?, limit.as_f64()?);
            number > limit || (bound.exclusive && number == limit)
        }
    };
    is_above.then_some(limit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn number(value: Value) -> Number {
        value.as_number().unwrap().clone()
    }

    #[test]
    fn rules_are_cut_to_whole_numbers_for_whole_numbers() {
        let half = Bound {
            limit: number(json!(0.5)),
            exclusive: false,
        };
        assert_eq!(below(&number(json!(0)), &half), None);
        assert_eq!(below(&number(json!(0.25)), &half), Some(number(json!(0.5))));
        let by_half = |value| multiple(&number(value), &number(json!(0.5)));
        assert!(matches!(by_half(json!(1)), Multiple::OfNothing(_)));
        assert!(matches!(by_half(json!(1.5)), Multiple::Is));
        assert!(matches!(by_half(json!(1.25)), Multiple::IsNot(_)));
    }

    #[test]
    fn values_become_what_an_enumeration_is_of() {
        assert!(is_one(&json!(2.0), &json!(2)));
        assert!(is_one(&json!(2), &json!(2.0)));
        assert!(!is_one(&Value::Null, &Value::Null));
        assert!(is_whole(&json!(2.0)) && !is_whole(&json!(2.5)));
    }
}
