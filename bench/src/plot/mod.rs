//! Plots of a record, as SVG files beside its data.

mod bars;
mod figures;
mod lines;
mod style;

use std::path::PathBuf;

use clap::Parser;

use self::figures::Figure;
use crate::Outcome;
use crate::reading::Reading;

#[derive(Clone, Debug, Parser)]
pub(crate) struct PlotOptions {
    /// Directory of the record [default: that of the newest run]
    #[arg(value_name = "DIRECTORY")]
    record: Option<PathBuf>,
}

pub(crate) fn run(options: &PlotOptions) -> Outcome<()> {
    draw(&Reading::open(options.record.as_deref())?)
}

pub(crate) fn draw(record: &Reading) -> Outcome<()> {
    for (name, make) in figures::FIGURES {
        let path = record.directory.join(name).with_extension("svg");
        match make(record)? {
            Some(Figure::Lines(lines)) => lines.draw(&path)?,
            Some(Figure::Bars(bars)) => bars.draw(&path)?,
            None => {
                println!("{name}: the record has nothing for it");
                continue;
            }
        }
        println!("{}", path.display());
    }
    Ok(())
}
