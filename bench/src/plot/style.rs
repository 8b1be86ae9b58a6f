//! Colours, sizes and numbers that all plots have in common.

use plotters::style::{BLACK, RGBColor, ShapeStyle, TextStyle};
use plotters::style::{Color, IntoFont};

pub(super) const SIZE: (u32, u32) = (960, 500);
pub(super) const MARGIN: u32 = 14;
pub(super) const GRID: RGBColor = RGBColor(225, 225, 225);

/// Okabe and Ito's, which people with any colour vision tell apart; black is for floors.
const PALETTE: [RGBColor; 8] = [
    RGBColor(0, 0, 0),
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(150, 140, 20),
];

pub(super) fn colour(index: usize) -> RGBColor {
    PALETTE[index % PALETTE.len()]
}

pub(super) fn line(index: usize) -> ShapeStyle {
    colour(index).stroke_width(2)
}

pub(super) fn caption() -> TextStyle<'static> {
    ("sans-serif", 18).into_font().color(&BLACK)
}

pub(super) fn label() -> TextStyle<'static> {
    ("sans-serif", 14).into_font().color(&BLACK)
}

/// `1,500`, `20k`, `1.5M`; small ones as they are.
pub(super) fn short(number: f64) -> String {
    let (scaled, unit) = match number.abs() {
        1e6.. => (number / 1e6, "M"),
        1e4.. => (number / 1e3, "k"),
        _ => (number, ""),
    };
    let text = match scaled.abs() {
        100.0.. => format!("{scaled:.0}"),
        10.0.. => format!("{scaled:.1}"),
        _ => format!("{scaled:.2}"),
    };
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn numbers_are_short() {
        let texts = [0.25, 1.0, 100.0, 9_999.4, 20_000.0, 1_500_000.0].map(short);
        assert_eq!(texts, ["0.25", "1", "100", "9999", "20k", "1.5M"]);
    }
}
