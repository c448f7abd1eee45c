//! Drawings of replayed runs: a run becomes a chart, and a chart becomes text or a picture.

pub mod chart;
pub mod fold;
pub mod html;
pub mod mermaid;
pub mod svg;
pub mod text;
