//! Drawings of replayed runs: first a chart, then what it is drawn with.

pub mod chart;
pub mod text;
