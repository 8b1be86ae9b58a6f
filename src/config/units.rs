//! Sizes and times as people write them: `4MiB`, `30m`.
//!
//! A number without a unit is bytes for a size. For a time it is refused: whether `15` means seconds or
//! milliseconds is not ours to guess. What is written with `Display` reads back as the same value.

use std::fmt;
use std::str::FromStr;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub usize);

/// A file, or where else something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOrUrl(pub String);

/// A time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Milliseconds(pub u64);

/// A part of the whole, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fraction(pub f64);

const SIZE_UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

const SPAN_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Parses a value and holds it between two bounds; the error says what is allowed.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn between<T>(text: &str, min: T, max: T) -> Result<T, String>
where
    T: FromStr<Err = String> + PartialOrd + fmt::Display,
{
    let value: T = text.parse()?;
    if value < min || value > max {
        return Err(format!("must be {min} to {max}"));
    }
    Ok(value)
}

/// [`between`] for plain counts.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn count_between(text: &str, min: u32, max: u32) -> Result<u32, String> {
    match text.parse() {
        Ok(count) if (min..=max).contains(&count) => Ok(count),
        _ => Err(format!("must be a number from {min} to {max}")),
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text);
        let unit = if unit.is_empty() { "B" } else { unit };
        scaled(number, unit, &SIZE_UNITS)
            .and_then(|bytes| usize::try_from(bytes).ok())
            .map(Size)
            .ok_or_else(|| {
                "must be a whole number of bytes, KiB, MiB or GiB, such as 65536 or 4MiB".into()
            })
    }
}

impl FromStr for Milliseconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text);
        scaled(number, unit, &SPAN_UNITS)
            .map(Milliseconds)
            .ok_or_else(|| {
                "must be a whole number with ms, s, m, h or d, such as 15s or 30m".into()
            })
    }
}

impl FromStr for Fraction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Fraction(share)),
            _ => Err("must be a share from 0 to 1, such as 0.1".to_owned()),
        }
    }
}

impl FromStr for FileOrUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("must not be empty".to_owned()),
            text => Ok(FileOrUrl(text.to_owned())),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_scaled(f, self.0 as u64, &SIZE_UNITS)
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_scaled(f, self.0, &SPAN_UNITS)
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(digits)
}

fn scaled(number: &str, unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (_, factor) = units
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// In the largest unit that leaves no fraction.
fn write_scaled(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    let (unit, factor) = units
        .iter()
        .find(|(_, factor)| value != 0 && value.is_multiple_of(*factor))
        .unwrap_or(&units[units.len() - 1]);
    write!(f, "{}{unit}", value / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_with_a_unit_that_does_not_exist() {
        for wrong in [
            "4MB",
            "4 MiB",
            "MiB",
            "",
            "-1",
            "1.5GiB",
            "99999999999999GiB",
        ] {
            let refused = wrong.parse::<Size>().unwrap_err();
            assert!(refused.contains("4MiB"), "{wrong}: {refused}");
        }
        assert_eq!("65536".parse(), Ok(Size(65_536)));
        assert_eq!("4mib".parse(), Ok(Size(4 << 20)));
    }

    #[test]
    fn a_time_without_a_unit() {
        for wrong in ["15", "15 s", "", "s", "1w", "0.5s"] {
            let refused = wrong.parse::<Milliseconds>().unwrap_err();
            assert!(refused.contains("15s"), "{wrong}: {refused}");
        }
        assert_eq!("250ms".parse(), Ok(Milliseconds(250)));
        assert_eq!("2h".parse(), Ok(Milliseconds(7_200_000)));
    }

    #[test]
    fn what_is_written_reads_back() {
        for value in [
            0,
            1,
            999,
            1000,
            1024,
            60_000,
            1 << 20,
            90_000_000,
            (1 << 30) + 1,
        ] {
            assert_eq!(Size(value).to_string().parse(), Ok(Size(value)));
            assert_eq!(
                Milliseconds(value as u64).to_string().parse(),
                Ok(Milliseconds(value as u64))
            );
        }
        assert_eq!(Milliseconds(30 * 60_000).to_string(), "30m");
        assert_eq!(Size(4 << 20).to_string(), "4MiB");
    }

    #[test]
    fn out_of_range_names_the_range() {
        let refused = between("1ms", Milliseconds(1000), Milliseconds(60_000)).unwrap_err();
        assert_eq!(refused, "must be 1s to 1m");
        assert_eq!(
            count_between("0", 1, 9).unwrap_err(),
            "must be a number from 1 to 9"
        );
    }
}
