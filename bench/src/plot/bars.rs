//! Horizontal bars, one for each name, with the number at its end.

use std::path::Path;

use plotters::chart::ChartBuilder;
use plotters::coord::combinators::IntoLogRange;
use plotters::drawing::IntoDrawingArea;
use plotters::element::{Rectangle, Text};
use plotters::prelude::SVGBackend;
use plotters::style::{Color, WHITE};

use super::style::{GRID, MARGIN, SIZE, caption, colour, label, short};
use crate::Outcome;

/// On a logarithmic axis, for servers differ by more than a factor of ten.
pub(super) struct Bars {
    pub(super) caption: String,
    pub(super) x: String,
    /// From the top to the bottom; numbers above zero. Bars of one group have one colour.
    pub(super) bars: Vec<Bar>,
}

pub(super) struct Bar {
    pub(super) name: String,
    pub(super) group: usize,
    pub(super) number: f64,
}

const ROW_HEIGHT: u32 = 26;
const NAMES_WIDTH: u32 = 250;

impl Bars {
    pub(super) fn draw(&self, path: &Path) -> Outcome<()> {
        let count = self.bars.len();
        let height = 110 + ROW_HEIGHT * u32::try_from(count)?;
        let numbers = || self.bars.iter().map(|it| it.number);
        let least = numbers().fold(f64::MAX, f64::min) * 0.5;
        let most = numbers().fold(0.0, f64::max) * 2.0;
        let area = SVGBackend::new(path, (SIZE.0, height)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.caption, caption())
            .margin(MARGIN)
            .x_label_area_size(48)
            .y_label_area_size(NAMES_WIDTH)
            .build_cartesian_2d((least..most).log_scale(), 0.0..count as f64)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .x_desc(&self.x)
            .x_label_formatter(&|it| short(*it))
            .label_style(label())
            .axis_desc_style(label())
            .light_line_style(WHITE.mix(0.0))
            .bold_line_style(GRID)
            .draw()?;
        let rows = || self.bars.iter().rev().enumerate();
        chart.draw_series(rows().map(|(row, bar)| {
            let row = row as f64;
            let corners = [(least, row + 0.15), (bar.number, row + 0.85)];
            Rectangle::new(corners, colour(bar.group).filled())
        }))?;
        chart.draw_series(rows().map(|(row, bar)| {
            let at = (bar.number * 1.04, row as f64 + 0.8);
            Text::new(short(bar.number), at, label())
        }))?;
        // The axis of names would have room for numbers only.
        for (row, bar) in self.bars.iter().enumerate() {
            let middle = chart.backend_coord(&(least, (count - row) as f64 - 0.2));
            area.draw(&Text::new(
                bar.name.clone(),
                (MARGIN.cast_signed(), middle.1),
                label(),
            ))?;
        }
        Ok(area.present()?)
    }
}
