//! Draws what grows.

use std::fs;
use std::path::Path;

use anyhow::Result;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;

use crate::results::{Results, Series, Unit};

const SIZE: (u32, u32) = (900, 480);
const COLOURS: [RGBColor; 2] = [RGBColor(31, 119, 180), RGBColor(214, 90, 20)];

/// Writes a file for each series into `directory`.
pub fn write(results: &Results, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    for series in &results.series {
        draw(series, &directory.join(format!("{}.svg", series.id)))?;
    }
    Ok(())
}

fn draw(series: &Series, path: &Path) -> Result<()> {
    let points = || series.lines.iter().flat_map(|(_, points)| points.iter().copied());
    let (first, last) = points().fold((f64::MAX, f64::MIN), |(low, high), (x, _)| (low.min(x), high.max(x)));
    let (lowest, highest) =
        points().fold((f64::MAX, f64::MIN), |(low, high), (_, y)| (low.min(y), high.max(y)));
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area);
    chart.caption(series.title, ("sans-serif", 20)).margin(12).x_label_area_size(44).y_label_area_size(90);
    let unit = series.unit;
    // What spans several powers of ten is only readable by its logarithm.
    if last / first > 1000.0 {
        let low = 10_f64.powf(lowest.log10().floor());
        let high = 10_f64.powf(highest.log10().ceil());
        let chart = chart.build_cartesian_2d((first..last).log_scale(), (low..high).log_scale())?;
        fill(chart, series, unit)?;
    } else {
        let chart = chart.build_cartesian_2d(0.0..last, 0.0_f64.min(lowest)..highest * 1.1)?;
        fill(chart, series, unit)?;
    }
    area.present()?;
    Ok(())
}

fn fill<'a, X, Y>(
    mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    series: &Series,
    unit: Unit,
) -> Result<()>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .x_desc(series.x)
        .y_desc(series.y)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| unit.show(*y))
        .draw()?;
    for ((name, points), colour) in series.lines.iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        if points.len() < 20 {
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 4, colour.filled())))?;
        }
    }
    if series.lines.len() > 1 {
        chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    }
    Ok(())
}
