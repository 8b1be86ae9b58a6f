//! Lines with a marker at each point.

use std::path::Path;

use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::coord::combinators::IntoLogRange;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::drawing::IntoDrawingArea;
use plotters::element::{Circle, DashedPathElement, EmptyElement, PathElement, TriangleMarker};
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
        let mut chart = ChartBuilder::on(&area)
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
            let style = line(series.colour);
            let marker = colour(series.colour).filled();
            // Not by colour alone: the two of a pair differ in their markers too.
            if series.dashed {
                chart
                    .draw_series(DashedLineSeries::new(points(), DASH, GAP, style))?
                    .label(&series.name)
                    .legend(move |(x, y)| {
                        DashedPathElement::new([(x, y), (x + 22, y)], DASH, GAP, style)
                    });
                chart.draw_series(PointSeries::of_element(
                    points(),
                    4,
                    marker,
                    &|at, size, style| EmptyElement::at(at) + Circle::new((0, 0), size, style),
                ))?;
            } else {
                chart
                    .draw_series(LineSeries::new(points(), style))?
                    .label(&series.name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], style));
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
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .label_font(label())
            .background_style(WHITE.mix(0.85))
            .draw()?;
        Ok(area.present()?)
    }
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::MAX, 0.0), |(least, most), it| {
        (least.min(it), most.max(it))
    })
}
