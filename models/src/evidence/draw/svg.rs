//! A chart as a space-time diagram, in SVG.

mod layout;

use super::{
    chart::{Chart, Kind, Passage, Row},
    fold::{self, Line},
};
use crate::{
    claim::notion::Standing,
    evidence::replay::Fate,
    io::text::{time_of_day, wrapped},
};
use interrex::machine::NodeId;
use layout::{LABEL_GAP, Layout, Placed, TEXT_HEIGHT, between, fitted};
use maud::{Markup, PreEscaped, html};

/// The colours, light and dark.
const STYLE: &str = include_str!("picture.css");

/// The text above and below a picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caption {
    /// The first line.
    pub title: String,
    /// The origin of the run.
    pub source: String,
    /// The sentences below it.
    pub sentences: Vec<String>,
}

/// Draws a chart; a long run is folded.
///
/// Time goes down; a column is a node, and the band on it its standing. A message is an arrow from where it was sent to
/// where it arrived, or to the cross where it was lost. The picture follows the light or dark setting of its reader.
#[must_use]
pub fn draw(chart: &Chart, caption: &Caption) -> String {
    picture(chart, &fold::folded(chart), caption, "run").into_string() + "\n"
}

/// The picture with these lines. Its name makes what it refers to differ from that of other pictures on a page.
pub(super) fn picture(chart: &Chart, lines: &[Line<'_>], caption: &Caption, name: &str) -> Markup {
    let layout = Layout::new(chart, lines);
    let sentences: Vec<String> =
        caption.sentences.iter().flat_map(|it| wrapped(it, layout.columns())).collect();
    let heading = wrapped(&caption.source, layout.columns());
    let below = layout.bottom + TEXT_HEIGHT * (sentences.len() + 2);
    let above = if caption.title.is_empty() { 0 } else { 32 + TEXT_HEIGHT * heading.len() };
    let (width, height) = (layout.width, above + below);
    html! {
        svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" width=(width) height=(height)
            viewBox=(format!("0 0 {width} {height}")) {
            title { (caption.title) }
            style { (PreEscaped(STYLE)) }
            (markers(name))
            rect class="paper" width=(width) height=(height) {}
            @if above > 0 {
                text class="title" x="16" y="28" { (caption.title) }
                @for (at, line) in heading.iter().enumerate() {
                    text class="weak" x="16" y=(28 + TEXT_HEIGHT * (at + 1)) { (line) }
                }
            }
            g transform=(format!("translate(0 {above})")) {
                (run(&layout, name))
                @for (at, line) in sentences.iter().enumerate() {
                    text class=(if chart.violated.is_some() { "bad" } else { "" }) x="16"
                        y=(layout.bottom + TEXT_HEIGHT * (at + 1)) { (line) }
                }
                (legend(layout.bottom + TEXT_HEIGHT * (sentences.len() + 1)))
            }
        }
    }
}

/// The run itself, in the order in which later things cover earlier ones.
fn run(layout: &Layout<'_>, name: &str) -> Markup {
    html! {
        @for placed in &layout.lines { (ground(layout, placed)) }
        @for (top, bottom, label) in layout.cuts() {
            rect class="cut" x=(layout.x(0) - 30) y=(top) width=(layout.lanes_width() + 60) height=(bottom - top) rx="4" {}
            text class="label cut-label" x=(layout.x(0) + LABEL_GAP) y=(top + 12) { (label) }
        }
        @for (node, _) in layout.chart.nodes.iter().enumerate() { (lane(layout, node)) }
        @for at in 0..layout.chart.journeys.len() { (arrow(layout, at, name)) }
        @for placed in &layout.lines { (marks(layout, placed)) }
        @for at in 0..layout.chart.journeys.len() { (arrow_label(layout, at)) }
    }
}

/// The tips of arrows.
fn markers(name: &str) -> Markup {
    let tip = "M0 0 L10 5 L0 10 Z";
    html! {
        defs {
            @for (id, class) in [("tip", "tip"), ("tip-down", "tip-down")] {
                marker id=(format!("{name}-{id}")) viewBox="0 0 10 10" refX="10" refY="5" markerWidth="8" markerHeight="8"
                    markerUnits="userSpaceOnUse" orient="auto" { path class=(class) d=(tip) {} }
            }
            marker id=(format!("{name}-cross")) viewBox="0 0 12 12" refX="6" refY="6" markerWidth="12" markerHeight="12"
                markerUnits="userSpaceOnUse" { path class="cross" d="M2 2 L10 10 M10 2 L2 10" {} }
        }
    }
}

/// The background of a line, its number and its note: everything else is drawn over it.
fn ground(layout: &Layout<'_>, placed: &Placed<'_>) -> Markup {
    let Placed { line, top, height, y } = placed;
    let rows = line.rows();
    let violated = layout.chart.violated.as_ref().map(|(after, _)| *after);
    let is_violating = rows.iter().any(|row| Some(row.step) == violated);
    let kind = match line {
        Line::Folded(_) => "row folded",
        Line::Step(_) if is_violating => "row violating",
        Line::Step(_) => "row",
    };
    let [first, last] = [rows.first(), rows.last()].map(|row| row.map_or(0, |row| row.step));
    html! {
        g class=(kind) data-first=(first) data-last=(last) {
            rect class="hit" x="0" y=(top) width=(layout.width) height=(height) {}
            @match line {
                Line::Step(row) => {
                    text class="number" x="40" y=(y + 4) { (row.step) }
                    @if let Some(time) = row.time { text class="weak" x="52" y=(y + 4) { (time_of_day(time)) } }
                    (notes(layout, row, y + 4))
                    @if row.begins_loop {
                        line class="loop" x1="16" x2=(layout.width - 16) y1=(top) y2=(top) {}
                        text class="weak" x="44" y=(top + 10) { "⟲" }
                    }
                }
                Line::Folded(_) => {
                    text class="fold" x=(layout.notes()) y=(y + 4) { (first) "–" (last) ": " (rows.len()) " quiet steps" }
                }
            }
        }
    }
}

fn notes(layout: &Layout<'_>, row: &Row, y: usize) -> Markup {
    let class = if row.kind == Kind::LeftOut { "weak" } else { "" };
    html! {
        text class=(class) x=(layout.notes()) y=(y) {
            @if !row.effects.is_empty() { title { (row.note) @for effect in &row.effects { "\n→ " (effect) } } }
            (fitted(&row.brief))
        }
        @for (at, report) in layout::reports(row).enumerate() {
            text class="weak" x=(layout.notes() + 12) y=(y + TEXT_HEIGHT * (at + 1)) { (fitted(&report)) }
        }
    }
}

/// The lifeline of a node, with a band for its standing.
fn lane(layout: &Layout<'_>, node: usize) -> Markup {
    let x = layout.x(node);
    html! {
        text class="node" x=(x) y="18" { "n" (node) }
        @for (top, bottom, standing) in layout.bands(node) {
            line class="lifeline" x1=(x) x2=(x) y1=(top) y2=(bottom) {}
            rect class=(class_of(standing)) x=(x - 4) y=(top) width="8" height=(bottom.saturating_sub(top)) rx="2" {}
        }
    }
}

fn class_of(standing: Standing) -> &'static str {
    match standing {
        Standing::Outsider => "outsider",
        Standing::Leading => "leading",
        Standing::Following(_) => "following",
        Standing::Seeking => "seeking",
    }
}

/// The class of a signal's arrow, and its tip.
fn look(passage: &Passage) -> (&'static str, Option<&'static str>) {
    match (passage.is_message, passage.end) {
        (true, Some((_, Fate::Arrived))) => ("message", Some("tip")),
        (false, Some((_, Fate::Arrived))) => ("message down", Some("tip-down")),
        (_, Some((_, Fate::Lost))) => ("message lost", Some("cross")),
        (_, None) => ("message under-way", None),
    }
}

/// The arrow of the signal of this number.
fn arrow(layout: &Layout<'_>, at: usize, name: &str) -> Markup {
    let Some(path) = layout.path(at) else { return html! {} };
    let passage = &layout.chart.journeys[at];
    let (class, tip) = look(passage);
    let marker = tip.map(|tip| format!("url(#{name}-{tip})"));
    let (from, to) = (path.from, path.to);
    let line = if passage.from == passage.to {
        format!("M{} {} C{2} {1} {2} {4} {3} {4}", from.0, from.1, from.0 + 34, to.0, to.1)
    } else {
        format!("M{} {} L{} {}", from.0, from.1, to.0, to.1)
    };
    html! {
        path class=(class) marker-end=[marker] d=(line) { title { (passage.content) } }
    }
}

/// Beside its tip, so that no label hides another one.
fn arrow_label(layout: &Layout<'_>, at: usize) -> Markup {
    let Some(path) = layout.path(at) else { return html! {} };
    let passage = &layout.chart.journeys[at];
    let (x, y) = path.to;
    // An arrow comes to its label, and a stub leads away from its sender to it.
    let goes_right = passage.from < passage.to;
    let (class, x) = if goes_right == path.is_stub || passage.from == passage.to {
        ("", x + LABEL_GAP)
    } else {
        ("left", x.saturating_sub(LABEL_GAP))
    };
    let kind = match passage.end {
        Some((_, Fate::Arrived)) if passage.is_message => "",
        Some((_, Fate::Lost)) => "lost",
        _ => "weak",
    };
    let y = if path.is_stub { y + 4 } else { y.saturating_sub(5) };
    html! { text class=(format!("label {kind} {class}")) x=(x) y=(y) { (passage.label) } }
}

/// The marks of a line on the lifelines.
fn marks(layout: &Layout<'_>, placed: &Placed<'_>) -> Markup {
    let Line::Step(row) = placed.line else { return html! {} };
    let x = |NodeId(node): NodeId| layout.x(node.into());
    let y = placed.y;
    let is_violating = layout.chart.violated.as_ref().is_some_and(|(after, _)| *after == row.step);
    html! {
        g class=(if is_violating { "violating" } else { "" }) {
            @if let (Some(node), Kind::Suspicion(target)) = (row.mark, row.kind) {
                line class="suspicion" x1=(x(target)) x2=(x(node)) y1=(y) y2=(y) {}
            }
            @if let (None, Some(arrow)) = (row.mark, &row.arrow) {
                circle class="fault" cx=(between(x(arrow.from), x(arrow.to), 1, 2)) cy=(y) r="5" {}
            }
            @if let Some(node) = row.mark {
                @let class = if matches!(row.kind, Kind::Suspicion(_)) { "doubt" } else { "step" };
                @if row.kind != Kind::Crash { circle class=(class) cx=(x(node)) cy=(y) r="5" {} }
                @if row.end.is_some() {
                    @let y = if row.kind == Kind::Crash { y } else { y + 12 };
                    path class="cross" d=(cross(x(node), y)) {}
                }
                @if let Some(news) = &row.announced.news {
                    text class="label news" x=(x(node) + LABEL_GAP) y=(y + 15) { (news) }
                }
            }
        }
    }
}

fn legend(y: usize) -> Markup {
    let bands = [
        (16, "leading", "leads"),
        (90, "following", "follows"),
        (174, "seeking", "knows no leader"),
        (318, "outsider", "is no member"),
    ];
    html! {
        @for (x, class, says) in bands {
            rect class=(class) x=(x) y=(y - 11) width="8" height="14" rx="2" {}
            text class="weak" x=(x + 14) y=(y) { (says) }
        }
        path class="cross" d=(cross(448, y - 5)) {}
        text class="weak" x="460" y=(y) { "lost, or the end of a life" }
        line class="message under-way legend" x1="636" x2="664" y1=(y - 5) y2=(y - 5) {}
        text class="weak" x="672" y=(y) { "still under way" }
    }
}

fn cross(x: usize, y: usize) -> String {
    let [left, right, top, bottom] = [x - 5, x + 5, y - 5, y + 5];
    format!("M{left} {top} L{right} {bottom} M{right} {top} L{left} {bottom}")
}
