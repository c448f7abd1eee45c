//! Drawings of replayed runs: a run becomes a chart, and a chart becomes text.

pub mod chart;
pub mod text;
