//! Lines with a marker at each point.

use std::path::Path;

use plotters::chart::ChartBuilder;
use plotters::coord::Shift;
use plotters::coord::combinators::IntoLogRange;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{
    Circle, DashedPathElement, EmptyElement, PathElement, Text, TriangleMarker,
};
use plotters::prelude::{Ranged, SVGBackend};
use plotters::series::{DashedLineSeries, LineSeries, PointSeries};
use plotters::style::{Color, WHITE};

use super::style::{GRID, MARGIN, SIZE, caption, colour, label, line, short};
use crate::Outcome;

pub(super) struct Lines {
    pub(super) caption: String,
    pub(super) x: String,
    pub(super) y: String,
    /// The axis below has the same distance between 1 and 10 as between 10 and 100, as the vertical one has; else it
    /// starts at zero.
    pub(super) x_is_logarithmic: bool,
    pub(super) series: Vec<Series>,
}

pub(super) struct Series {
    pub(super) name: String,
    /// What belongs together has one colour; the second of a pair is dashed.
    pub(super) colour: usize,
    pub(super) dashed: bool,
    /// From the left to the right, all of them above zero.
    pub(super) points: Vec<(f64, f64)>,
}

/// Pixels of a dash, and between two.
const DASH: u32 = 6;
const GAP: u32 = 4;
const LEGEND_WIDTH: u32 = 230;
const LEGEND_TOP: i32 = 60;
const LEGEND_ROW: i32 = 22;

impl Lines {
    pub(super) fn draw(&self, path: &Path) -> Outcome<()> {
        let points = || self.series.iter().flat_map(|it| &it.points);
        let (least_x, most_x) = ends(points().map(|it| it.0));
        let (least_y, most_y) = ends(points().map(|it| it.1));
        let y = (least_y * 0.7..most_y * 1.6).log_scale();
        match self.x_is_logarithmic {
            true => self.draw_on(path, (least_x * 0.8..most_x * 1.25).log_scale(), y),
            false => self.draw_on(path, 0.0..most_x * 1.05, y),
        }
    }

    fn draw_on<X, Y>(&self, path: &Path, x: X, y: Y) -> Outcome<()>
    where
        X: AsRangedCoord<Value = f64>,
        Y: AsRangedCoord<Value = f64>,
        X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let (plot, legend) = area.split_horizontally(SIZE.0 - LEGEND_WIDTH);
        let mut chart = ChartBuilder::on(&plot)
            .caption(&self.caption, caption())
            .margin(MARGIN)
            .x_label_area_size(48)
            .y_label_area_size(76)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_desc(&self.x)
            .y_desc(&self.y)
            .x_labels(5)
            .x_label_formatter(&|it| short(*it))
            .y_label_formatter(&|it| short(*it))
            .label_style(label())
            .axis_desc_style(label())
            .light_line_style(WHITE.mix(0.0))
            .bold_line_style(GRID)
            .draw()?;
        for series in &self.series {
            let points = || series.points.iter().copied();
            let marker = colour(series.colour).filled();
            // Not by colour alone: the two of a pair differ in their markers too.
            if series.dashed {
                let dashes = DashedLineSeries::new(points(), DASH, GAP, line(series.colour));
                chart.draw_series(dashes)?;
                chart.draw_series(PointSeries::of_element(
                    points(),
                    4,
                    marker,
                    &|at, size, style| EmptyElement::at(at) + Circle::new((0, 0), size, style),
                ))?;
            } else {
                chart.draw_series(LineSeries::new(points(), line(series.colour)))?;
                chart.draw_series(PointSeries::of_element(
                    points(),
                    6,
                    marker,
                    &|at, size, style| {
                        EmptyElement::at(at) + TriangleMarker::new((0, 0), size, style)
                    },
                ))?;
            }
        }
        self.draw_legend(&legend)?;
        Ok(area.present()?)
    }

    /// Beside the plot, where it hides nothing, in the order in which the lines end.
    fn draw_legend(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Outcome<()> {
        let last = |it: &Series| it.points.last().map_or(0.0, |point| point.1);
        let mut series: Vec<&Series> = self.series.iter().collect();
        series.sort_by(|a, b| last(b).total_cmp(&last(a)));
        for (row, series) in series.into_iter().enumerate() {
            let y = LEGEND_TOP + LEGEND_ROW * row as i32;
            let ends = [(0, y), (24, y)];
            if series.dashed {
                area.draw(&DashedPathElement::new(
                    ends,
                    DASH,
                    GAP,
                    line(series.colour),
                ))?;
            } else {
                area.draw(&PathElement::new(ends, line(series.colour)))?;
            }
            let name = Text::new(series.name.clone(), (30, y - 7), label());
            area.draw(&name)?;
        }
        Ok(())
    }
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::MAX, 0.0), |(least, most), it| {
        (least.min(it), most.max(it))
    })
}
