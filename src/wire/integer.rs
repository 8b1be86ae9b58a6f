//! Integers as JSON Schema means them: numbers without a fraction, however they are written. `1`, `1.0` and `10e-1` are
//! one.

/// A number's value: `digits` and then so many zeros. Two are equal if the numbers are.
#[derive(Debug, PartialEq, Eq)]
struct Integer {
    negative: bool,
    /// Without zeros at either end.
    digits: String,
    zeros: i64,
}

/// Whether the JSON text is an integer.
#[must_use]
pub fn is_integer(json: &str) -> bool {
    let digits = json.strip_prefix('-').unwrap_or(json);
    is_natural(digits) || parse(json).is_some()
}

/// Whether two JSON texts are the same integer.
#[must_use]
pub fn is_same_integer(one: &str, other: &str) -> bool {
    let value = parse(one);
    value.is_some() && value == parse(other)
}

/// The integer that a JSON text is, if it is one that fits.
#[must_use]
pub fn to_u32(json: &str) -> Option<u32> {
    if is_natural(json) {
        return json.parse().ok();
    }
    let integer = parse(json).filter(|it| !it.negative)?;
    let power = 10u32.checked_pow(u32::try_from(integer.zeros).ok()?)?;
    match &*integer.digits {
        "" => Some(0),
        digits => digits.parse::<u32>().ok()?.checked_mul(power),
    }
}

fn parse(json: &str) -> Option<Integer> {
    let (negative, rest) = match json.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, json),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    if !is_natural(whole) || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let all = format!("{whole}{fraction}");
    let significant = all.trim_end_matches('0');
    if significant.is_empty() {
        return Some(Integer {
            negative: false,
            digits: String::new(),
            zeros: 0,
        });
    }
    let dropped = (all.len() - significant.len()) as i64;
    let zeros = exponent
        .checked_add(dropped)?
        .checked_sub(fraction.len() as i64)?;
    (zeros >= 0).then(|| Integer {
        negative,
        digits: significant.trim_start_matches('0').to_owned(),
        zeros,
    })
}

/// Digits alone, without zeros before them.
fn is_natural(digits: &str) -> bool {
    match digits.as_bytes() {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_an_integer_only_by_its_looks() {
        for wrong in [
            "",
            "-",
            "+1",
            "01",
            "1.",
            ".5",
            "1.5",
            "15e-1",
            "1e",
            "1e+",
            "1e+-1",
            "1.0.0",
            "0x1",
            " 1",
            "1 ",
            "1e99999999999999999999",
            "NaN",
            "\"1\"",
        ] {
            assert!(!is_integer(wrong), "{wrong}");
        }
        for right in [
            "0",
            "-0",
            "0.000",
            "1",
            "-1",
            "1.0",
            "10e-1",
            "1.5e1",
            "1E+3",
            "-120.00e-1",
            "12345678901234567890123",
            "0e-5",
            "1e999999",
        ] {
            assert!(is_integer(right), "{right}");
        }
    }

    #[test]
    fn one_integer_in_two_spellings_told_apart() {
        for spelling in ["1", "1.0", "1.000", "10e-1", "0.1e1", "1e0", "100E-2"] {
            assert!(is_same_integer("1", spelling), "{spelling}");
            assert_eq!(to_u32(spelling), Some(1));
        }
        for other in ["-1", "10", "0", "1.5", "\"1\"", "1e1"] {
            assert!(!is_same_integer("1", other), "{other}");
        }
        assert!(is_same_integer("-0", "0.0"));
        assert!(is_same_integer("9007199254740993.0", "9007199254740993"));
        assert!(!is_same_integer("9007199254740993", "9007199254740992"));
        for (json, value) in [
            ("0.0", Some(0)),
            ("4294967295.0", Some(u32::MAX)),
            ("4294967296", None),
            ("4294967296.0", None),
            ("1e10", None),
            ("1e999999", None),
            ("-1.0", None),
        ] {
            assert_eq!(to_u32(json), value, "{json}");
        }
    }
}
