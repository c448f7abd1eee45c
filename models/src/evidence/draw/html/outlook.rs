//! The page on which a run is chosen step by step. It is served: the frame once, and a view for each run.

use super::{STYLE, node, page, when};
use crate::{
    evidence::{
        draw::{
            chart::Chart,
            fold,
            svg::{self, Caption},
        },
        outlook::{Judged, Left, Link, Outlook, Refusal, Way},
    },
    io::text::{plain, printable},
};
use maud::{Markup, html};
use serde_json::Value;

const OWN_STYLE: &str = include_str!("outlook.css");
const SCRIPT: &str = include_str!("outlook.js");

/// The frame: it is the same for all runs. Each known trace is a name and the address that leads to its end.
#[must_use]
pub fn frame(title: &str, known: &[(String, String)]) -> String {
    let body = html! {
        nav {
            button type="button" id="back" title="Take the last step back (Backspace)" { "← back" }
            button type="button" id="anew" { "from the beginning" }
            input id="filter" type="search" placeholder="action, such as deliver (/)" aria-label="Show only actions whose names contain this; Enter takes the first";
            span id="place" role="status" {}
            button type="button" id="save" title="Save the run as a trace, for replay" { "save as a trace" }
            (known_traces(known))
        }
        p id="wrong" role="alert" hidden {}
        div id="view" { noscript { "This page needs JavaScript." } }
    };
    page(title, &[STYLE, OWN_STYLE], &body, SCRIPT)
}

fn known_traces(known: &[(String, String)]) -> Markup {
    html! {
        details id="known" {
            summary { "known traces (" (known.len()) ")" }
            ul {
                @if known.is_empty() { li.weak { "none of this protocol" } }
                @for (name, address) in known { li { a href=(address) { (name) } } }
            }
        }
    }
}

/// The view of a run: the picture of it, what can happen next, and how everything stands. The run is drawn as one that is
/// about the property of this name.
#[must_use]
pub fn view(chart: &Chart, outlook: &Outlook, caption: &Caption, about: &str) -> String {
    let steps = chart.rows.len();
    let last = chart.rows.last().map(|row| row.action.as_str());
    let place = match last {
        None => "the beginning".into(),
        Some(action) => format!("step {steps}: {action}"),
    };
    let view = html! {
        header data-place=(place) {
            h1 { (caption.title) }
            p.weak { (caption.source) }
        }
        main {
            div.pictures { (svg::picture(chart, &fold::folded(chart), &Caption::default(), "run")) }
            div.actions {
                (ways(&outlook.ways))
                (refused(&outlook.refused))
            }
            aside {
                (properties(outlook, about))
                (surroundings(outlook))
                (links(&outlook.links))
                (node::at_end(chart))
            }
        }
    };
    view.into_string()
}

fn ways(ways: &[Way]) -> Markup {
    html! {
        section {
            h2 { "What can happen next" }
            @if ways.is_empty() { p.weak { "Nothing: the run ends here." } }
            ul.ways {
                @for way in ways {
                    li.within[way.crashes] data-name=(way.action) {
                        button type="button" data-do=(way.action) { (printable(&way.action)) }
                        @if let Some(met) = way.met.as_ref().filter(|_| !way.crashes) { span.weak { (content(met)) } }
                    }
                }
            }
        }
    }
}

/// A message without the name of its sender, which is in the name of the action.
fn content(met: &Value) -> String {
    plain(met.get("message").map_or(met, |message| &message["message"]))
}

/// The same reason is said once for all actions of a kind.
fn refused(refused: &[Refusal]) -> Markup {
    let mut groups: Vec<(&str, &str, Vec<&str>)> = vec![];
    for Refusal { kind, action, reason } in refused {
        let group = groups.iter_mut().find(|group| group.0 == *kind && group.1 == reason);
        match group {
            Some((_, _, actions)) => actions.push(action),
            None => groups.push((kind, reason, vec![action])),
        }
    }
    groups.sort_by_key(|(kind, ..)| refused.iter().position(|it| it.kind == *kind));
    html! {
        section {
            h2 { "What cannot, and why" }
            ul.refused {
                @for (_, reason, actions) in groups {
                    li data-name=(actions.join("\n")) {
                        @for (at, action) in actions.iter().enumerate() {
                            @if at > 0 { ", " }
                            span data-refused=(action) { (printable(action)) }
                        }
                        ": " span.weak { (printable(reason)) }
                    }
                }
            }
        }
    }
}

fn properties(outlook: &Outlook, about: &str) -> Markup {
    html! {
        section {
            h2 { "Properties" }
            ul.properties {
                @for it in &outlook.properties {
                    li.violated[it.violated.is_some()] data-property=(it.name) {
                        label title=(it.sentence) {
                            input type="radio" name="about" value=(it.name) checked[it.name == about];
                            " " b { (it.name) } " " (standing(it))
                        }
                        p.weak { (it.sentence) }
                        @for complaint in &it.complaints { p.bad { (printable(complaint)) } }
                    }
                }
            }
            p.weak { "The one that is chosen is that of the picture, and of the trace that is saved." }
        }
    }
}

/// The standing of a property, in a word or two.
fn standing(it: &Judged) -> Markup {
    html! {
        @match (it.violated, it.exercised) {
            (Some(step), _) => span.bad { "violated after step " (step) },
            (None, _) if !it.is_judged => span.weak title=(when(it.kind)) { "not judged here" },
            (None, Some(step)) => span.good { "not violated, exercised since step " (step) },
            (None, None) => span.weak { "not violated, not exercised" },
        }
    }
}

fn surroundings(outlook: &Outlook) -> Markup {
    let settled = if outlook.is_settled {
        "Nothing is left to do here."
    } else {
        "Something is left to do here."
    };
    html! {
        section {
            h2 { "Budgets" }
            p.budgets {
                @for Left { budget, left, given } in &outlook.budgets {
                    span { (budget) " " b { (left) } @if left != given { " of " (given) } } " "
                }
                @if outlook.budgets.is_empty() { "none" }
            }
            @if let Some(side) = outlook.cut_off { p { b { (side) " cut off" } } }
            p.weak { (settled) }
            @if let Some(first) = outlook.loop_from {
                p { "The run could go round for ever: it is where it was after step " (first) "." }
            }
        }
    }
}

fn links(links: &[Link]) -> Markup {
    html! {
        section {
            h2 { "On their way" }
            @if links.is_empty() { p.weak { "nothing" } }
            @for Link { from, to, signals } in links {
                p { b { (from) " → " (to) } }
                ol.signals { @for signal in signals { li { (content(signal)) } } }
            }
        }
    }
}
