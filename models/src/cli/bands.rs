//! Tables that are too wide for the terminal: their columns are split into bands, one below the other.

use super::table;
use comfy_table::{Cell, ContentArrangement, Table};
use std::env;

/// The width of the terminal. Where standard output is none, that of COLUMNS, or 80.
pub(super) fn width() -> u16 {
    let given = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    table().width().or(given).filter(|width| *width > 0).unwrap_or(80)
}

/// A table whose cells are not broken into lines. If it is wider than this, its columns are split into bands; each
/// repeats the first column, which names the rows.
pub(super) fn banded(header: &[Cell], rows: &[Vec<Cell>], width: u16) -> String {
    let wide = |cell: &Cell| cell.content().chars().count() + PADDING;
    let widest = |at: usize, name: &Cell| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells.map(wide).fold(wide(name), usize::max)
    };
    let widths: Vec<_> = header.iter().enumerate().map(|(at, name)| widest(at, name)).collect();
    let first = widths.first().copied().unwrap_or_default();
    let mut bands: Vec<Vec<usize>> = vec![];
    let mut used = usize::MAX;
    for (at, column) in widths.iter().enumerate().skip(1) {
        match bands.last_mut() {
            Some(band) if used + column <= width.into() => {
                band.push(at);
                used += column;
            }
            _ => {
                bands.push(vec![0, at]);
                used = first + column;
            }
        }
    }
    let drawn = bands.iter().map(|band| drawn(band, header, rows).trim_fmt());
    drawn.collect::<Vec<_>>().join("\n\n")
}

/// The spaces beside the content of a cell.
const PADDING: usize = 2;

/// The table of some columns.
fn drawn(columns: &[usize], header: &[Cell], rows: &[Vec<Cell>]) -> Table {
    let some = |row: &[Cell]| -> Vec<Cell> {
        columns.iter().filter_map(|at| row.get(*at).cloned()).collect()
    };
    let mut table = table();
    table.set_content_arrangement(ContentArrangement::Disabled).set_header(some(header));
    table.add_rows(rows.iter().map(|row| some(row)));
    table
}
