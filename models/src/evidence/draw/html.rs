//! A chart as a page that steps through the run. The page is one file, and needs nothing else.

mod node;
pub mod outlook;

use super::{
    chart::{Chart, Passage, Row},
    fold::{self, Line},
    svg::{self, Caption},
};
use crate::{
    claim::property::{Kind, Property},
    io::text::time_of_day,
};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// The property that a page is about.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Its name.
    pub name: &'a str,
    /// The claim, in a sentence.
    pub sentence: &'a str,
    /// When it is judged.
    pub judged: &'a str,
}

impl<'a> Claim<'a> {
    /// The claim of a property.
    #[must_use]
    pub fn of(property: &'a Property) -> Self {
        Self { name: property.name, sentence: property.claim, judged: when(property.kind) }
    }
}

/// A sentence that says when a property of this kind is judged.
fn when(kind: Kind) -> &'static str {
    match kind {
        Kind::Safety => "It is judged after every step.",
        Kind::Settled => "It is judged where nothing is left to do.",
        Kind::Fair => "It is judged on runs that go round for ever.",
    }
}

/// The page of a chart: the picture, and beside it, for each step, what happens, the claim and whether it is violated,
/// the messages on their way, and the nodes with what has changed.
///
/// Each part says from which step on and until which step it is true (`data-from`, `data-until`); the script shows those
/// of one step. A link can name a step, as `#step-3`. Without the script everything is shown.
#[must_use]
pub fn draw(chart: &Chart, caption: &Caption, claim: Claim<'_>) -> String {
    let lines = fold::folded(chart);
    let body = html! {
        header {
            h1 { (caption.title) }
            p.weak { (caption.source) }
            @for sentence in &caption.sentences { p.bad[chart.violated.is_some()] { (sentence) } }
        }
        (controls(chart, lines.len() < chart.rows.len()))
        main {
            (pictures(chart, &lines))
            aside {
                (steps(chart))
                (verdicts(chart, claim))
                (signals(chart))
                (node::nodes(chart))
            }
        }
    };
    page(&caption.title, &[STYLE], &body, SCRIPT) + "\n"
}

/// A page that needs nothing else: everything is in it.
fn page(title: &str, styles: &[&str], body: &Markup, script: &str) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { @for style in styles { (PreEscaped(style)) } }
            }
            body {
                (body)
                script { (PreEscaped(script)) }
            }
        }
    };
    page.into_string()
}

fn controls(chart: &Chart, is_folded: bool) -> Markup {
    let violated = chart.violated.as_ref().map(|(after, _)| *after);
    html! {
        nav hidden {
            button type="button" data-by="-1" title="The step before (←)" { "←" }
            input id="step" type="range" min="0" max=(chart.rows.len()) value="0" aria-label="Step";
            button type="button" data-by="1" title="The next step (→)" { "→" }
            a id="here" href="#step-0" title="A link to this step" {}
            @if let Some(after) = violated { a href=(format!("#step-{after}")) { "violation" } }
            @if is_folded { label { input id="whole" type="checkbox"; " all steps" } }
        }
    }
}

fn pictures(chart: &Chart, lines: &[Line<'_>]) -> Markup {
    let none = Caption::default();
    html! {
        div.pictures {
            div id="folded" { (svg::picture(chart, lines, &none, "run")) }
            @if lines.len() < chart.rows.len() {
                div id="unfolded" hidden { (svg::picture(chart, &fold::whole(chart), &none, "all")) }
            }
        }
    }
}

/// The steps, each with its effects.
fn steps(chart: &Chart) -> Markup {
    html! {
        section data-from="0" data-until="1" { h2 { "The beginning" } }
        @for row in &chart.rows { (step(row)) }
    }
}

fn step(row: &Row) -> Markup {
    html! {
        section data-from=(row.step) data-until=(row.step + 1) {
            h2 { "Step " (row.step) ": " (row.action) }
            @if row.begins_loop { p.weak { "⟲ from here, for ever" } }
            @if let Some(time) = row.time { p.weak { (time_of_day(time)) } }
            p { (row.note) }
            @if !row.effects.is_empty() { ul { @for effect in &row.effects { li { (effect) } } } }
            @if let Some(end) = row.end { p.bad { (end) } }
        }
    }
}

/// The claim, and whether it is violated.
fn verdicts(chart: &Chart, claim: Claim<'_>) -> Markup {
    let (after, complaints) = match &chart.violated {
        Some((after, complaints)) => (*after, complaints.as_slice()),
        None => (usize::MAX, &[][..]),
    };
    let said = |row: &Row| {
        // A livelock is complained of at the end only.
        let is_whole = row.complaints.is_empty() && row.step == after;
        if is_whole { complaints.to_vec() } else { row.complaints.clone() }
    };
    let begins = if after == 0 { complaints.to_vec() } else { vec![] };
    let mut spans = vec![(0, begins)];
    for row in &chart.rows {
        let said = said(row);
        if spans.last().is_none_or(|(_, last)| *last != said) {
            spans.push((row.step, said));
        }
    }
    let ends = spans.iter().skip(1).map(|(from, _)| *from).chain([chart.rows.len() + 1]);
    html! {
        section {
            h2 { (claim.name) }
            p { (claim.sentence) }
            @for ((from, complaints), until) in spans.iter().zip(ends) {
                div data-from=(from) data-until=(until) {
                    @if complaints.is_empty() { p.weak { "Not violated here. " (claim.judged) } }
                    @for complaint in complaints { p.bad { "Violated: " (complaint) } }
                }
            }
        }
    }
}

/// The signals on their way.
fn signals(chart: &Chart) -> Markup {
    let end = |it: &Passage| it.end.map_or(chart.rows.len() + 1, |(end, _)| end);
    html! {
        section {
            h2 { "On their way" }
            ul.signals {
                @for it in chart.journeys.iter().filter(|it| it.sent < end(it)) {
                    li data-from=(it.sent) data-until=(end(it)) {
                        b { (it.from) " → " (it.to) } " " (it.content)
                        @if it.sent > 0 { span.weak { " since step " (it.sent) } }
                    }
                }
            }
        }
    }
}
