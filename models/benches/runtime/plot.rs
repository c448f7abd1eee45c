//! The picture in the README.

use crate::{Times, load::Result};
use plotters::prelude::*;
use std::time::Duration;

const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/runtime/times.svg");
const SIZE: (u32, u32) = (960, 340);
const GREY: RGBColor = RGBColor(96, 96, 96);
/// Colours that can be told apart by everybody.
const COLOURS: [RGBColor; 4] =
    [RGBColor(86, 86, 86), RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115)];

/// Failovers as dots, latencies as curves.
pub(crate) fn draw(latencies: &[Times], failovers: &[Times]) -> Result<()> {
    let area = SVGBackend::new(PICTURE, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(SIZE.0 / 2);
    draw_failovers(&left, failovers)?;
    draw_latencies(&right, latencies)?;
    area.present()?;
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn draw_failovers(area: &Area<'_>, all: &[Times]) -> Result<()> {
    let rows = i32::try_from(all.len())?;
    let mut chart = ChartBuilder::on(area)
        .caption("until all survivors have the next leader, ms", ("sans-serif", 15))
        .margin(12)
        .x_label_area_size(24)
        .y_label_area_size(150)
        .build_cartesian_2d((0.1..2000.0).log_scale(), (-rows..-1).into_segmented())?;
    let name = |row: &SegmentValue<i32>| match row {
        SegmentValue::CenterOf(row) if (-rows..0).contains(row) => {
            usize::try_from(-row - 1).map_or_else(|_| String::new(), |at| all[at].what.clone())
        }
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(WHITE)
        .x_label_formatter(&|x| x.to_string())
        .y_label_formatter(&name)
        .y_labels(all.len())
        .draw()?;
    for (row, times) in (1..).zip(all) {
        let at = SegmentValue::CenterOf(-row);
        let colour = COLOURS[usize::try_from(row - 1)? % 2 + 1];
        let dot = |time: &Duration| {
            Circle::new((milliseconds(*time), at.clone()), 4, colour.mix(0.4).filled())
        };
        chart.draw_series(times.sorted.iter().map(dot))?;
        let median = times.at(50);
        let text = format!("{:.1}", milliseconds(median));
        let style = ("sans-serif", 12).into_font().color(&GREY);
        let above =
            EmptyElement::at((milliseconds(median), at)) + Text::new(text, (-10, -22), style);
        chart.draw_series([above])?;
    }
    Ok(())
}

fn draw_latencies(area: &Area<'_>, all: &[Times]) -> Result<()> {
    let mut chart = ChartBuilder::on(area)
        .caption("round trips that took no longer, %, by µs", ("sans-serif", 15))
        .margin(12)
        .x_label_area_size(24)
        .y_label_area_size(36)
        .build_cartesian_2d((5.0..200.0).log_scale(), 0..100)?;
    // Between 60 and 100 there is no room.
    let label = |x: &f64| if (60.5..99.5).contains(x) { String::new() } else { x.to_string() };
    chart.configure_mesh().light_line_style(WHITE).x_label_formatter(&label).draw()?;
    for (times, colour) in all.iter().zip(COLOURS) {
        let curve = (0..=100).map(|hundredths| {
            let micros = times.at(usize::try_from(hundredths).unwrap_or(0)).as_secs_f64() * 1e6;
            (micros.clamp(5.0, 200.0), hundredths)
        });
        chart
            .draw_series(LineSeries::new(curve, colour.stroke_width(2)))?
            .label(&times.what)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE)
        .border_style(GREY.mix(0.4))
        .draw()?;
    Ok(())
}
