//! Hexadecimal numbers without the formatting machinery: one is in every event and in every chunk.

/// Appends `value` in lower-case digits, as few as it takes.
pub fn emit_hex(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 16];
    let count = write_hex(&mut digits, value);
    out.extend_from_slice(&digits[..count]);
}

/// Writes `value` to the start of `out`, which has room for 16 digits. Returns how many it took.
pub fn write_hex(out: &mut [u8], value: u64) -> usize {
    let count = (u64::BITS - value.leading_zeros()).div_ceil(4).max(1) as usize;
    for (index, digit) in out[..count].iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[(value >> (4 * index)) as usize & 0xf];
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_standard_library() {
        let powers = (0..64).map(|shift| 1u64 << shift);
        for value in powers.flat_map(|it| [it - 1, it, it + 1]).chain([u64::MAX]) {
            let mut out = Vec::new();
            emit_hex(&mut out, value);
            assert_eq!(out, format!("{value:x}").into_bytes());
        }
    }
}
