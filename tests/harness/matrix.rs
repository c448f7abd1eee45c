//! The assumption matrix: all of it is there, and says what is found.

use assert_cmd::Command;
use interrex_models::{
    claim::property::{self, Kind},
    explore::search::Limits,
    model::environment::Class,
    protocol::registry::{Known, built_in},
    verdict::{
        check::Report,
        matrix::{Cell, Matrix, class_of},
        outcome::Verdict,
        scenario::Scenario,
    },
};
use std::{num::NonZeroU64, path::Path};

fn scenarios() -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    Scenario::read_all(built_in(), &folder).expect("scenarios that can be read")
}

fn explore(scenario: &Scenario, limits: Limits) -> Report {
    let mut report = scenario.harness().check(scenario, None, limits, &mut |_| {});
    // The command names the file that it has found or written.
    for row in &mut report.properties {
        row.trace =
            row.counterexample.as_ref().map(|trace| trace.file_name().display().to_string());
    }
    report
}

/// Those of the matrix that are explored in a moment.
fn small() -> Vec<Scenario> {
    let small =
        |scenario: &Scenario| class_of(scenario).is_some() && scenario.states < Some(50_000);
    scenarios().into_iter().filter(small).collect()
}

/// The protocols of the matrix: a protocol may stay out of it.
fn shown(scenarios: &[Scenario]) -> Vec<Known> {
    let is_shown = |known: &Known| {
        let mut own = scenarios.iter().filter(|scenario| scenario.protocol == Some(*known));
        own.any(|scenario| class_of(scenario).is_some())
    };
    built_in().all().iter().copied().filter(is_shown).collect()
}

#[test]
fn every_protocol_of_the_matrix_meets_every_class_of_environments() {
    let scenarios = scenarios();
    let shown = shown(&scenarios);
    assert!(shown.len() > 3, "{shown:?}");
    for known in shown {
        for class in Class::ALL {
            let name = format!("{}/{}", known.name(), class.name());
            let scenario = scenarios.iter().find(|scenario| scenario.name == name).expect(&name);
            assert_eq!(class_of(scenario), Some(class), "{name}");
            assert_eq!(scenario.environment.class(), Some(class), "{name}");
            // Of the members of a group, three with all faults in one run are more than a search can hold.
            let is_too_large = class == Class::Everything && known.name().starts_with("group");
            let size = if is_too_large { 2 } else { 3 };
            assert_eq!(scenario.environment.size(), size, "{name}");
            // Where a property is left out, the table says that it has no meaning.
            assert_eq!(scenario.properties.len(), known.properties().len(), "{name}");
        }
    }
}

#[test]
fn what_is_found_is_what_is_pinned() {
    let scenarios = small();
    let reports: Vec<_> =
        scenarios.iter().map(|scenario| explore(scenario, Limits::default())).collect();
    let found = Matrix::found(scenarios.iter().zip(&reports));
    let pinned = Matrix::pinned(&scenarios);
    assert!(found.cells().eq(pinned.cells()));
    assert_eq!(found.to_markdown("traces"), pinned.to_markdown("traces"));
}

#[test]
fn a_search_that_is_cut_short_shows_a_question_mark() {
    let scenarios = small();
    let limits = Limits { max_states: NonZeroU64::new(2), ..Limits::default() };
    let reports: Vec<_> = scenarios.iter().map(|scenario| explore(scenario, limits)).collect();
    let found = Matrix::found(scenarios.iter().zip(&reports));
    let unknown = |cell: &&Cell| cell.verdict == Verdict::Unknown;
    assert!(found.cells().filter(unknown).count() > 0);
    let text = found.to_markdown("traces");
    assert!(text.contains(" ? ") && !text.contains('✓'), "{text}");
}

/// After a livelock, a settled property may only hold because too few worlds are settled.
#[test]
fn what_holds_in_settled_worlds_is_marked_where_runs_go_round_for_ever() {
    let matrix = Matrix::pinned(&scenarios());
    let mut marked = 0;
    for cell in matrix.cells() {
        let kind = property::ALL.iter().find(|it| it.name == cell.property).expect("it").kind;
        let livelock = matrix.cells().any(|it| {
            (it.property, &it.protocol, it.environment)
                == (property::NO_LIVELOCK.name, &cell.protocol, cell.environment)
                && it.verdict == Verdict::Violated
        });
        assert_eq!(cell.unsettled, livelock && kind == Kind::Settled, "{cell:?}");
        marked += usize::from(cell.unsettled && cell.verdict == Verdict::Holds);
    }
    assert!(marked > 0 && matrix.to_markdown(".").matches("✓ ∞ ").count() <= marked);
}

/// The claim of gms3's documentation, "messages are reliably delivered, the detector is accurate", in
/// the columns in which it does not.
#[test]
fn gms3_has_one_leader_unless_detectors_err_and_loses_messages_where_links_do() {
    let matrix = Matrix::pinned(&scenarios());
    let verdict = |property: &str, class: Class| {
        let here = |cell: &&Cell| {
            (cell.protocol.as_str(), cell.property, cell.environment) == ("gms3", property, class)
        };
        matrix.cells().find(here).expect("a cell").verdict
    };
    for class in [Class::CrashStop, Class::CrashRecovery] {
        assert_eq!(verdict("single-leader", class), Verdict::Holds);
    }
    for class in [Class::Suspicious, Class::Partition] {
        assert_eq!(verdict("single-leader", class), Verdict::Violated);
    }
    let lost = "no-lost-message-survivors-agreement";
    assert_eq!(verdict(lost, Class::Lossy), Verdict::Violated);
    assert_eq!(verdict(lost, Class::Duplicating), Verdict::Holds);
}

#[test]
fn a_protocol_without_scenarios_for_the_matrix_is_refused_by_name() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interrex"));
    let output = command.args(["matrix", "gms2"]).output().expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{said}");
    let scenarios = scenarios();
    let names: Vec<_> = shown(&scenarios).iter().map(|known| known.name()).collect();
    let says = format!(
        "gms2 has no scenarios for the matrix; these protocols have: {} (",
        names.join(", ")
    );
    assert!(said.contains(&says), "{said}");
}

/// Wide tables are split into bands, each with the names of its rows.
#[test]
fn the_table_fits_the_width_of_the_terminal() {
    for (columns, bands) in [("80", 2..=9), ("60", 3..=9), ("400", 1..=1), ("1", 8..=8)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_interrex"));
        command.args(["matrix", "gms3", "--max-seconds", "0.1"]).env("COLUMNS", columns);
        let out = String::from_utf8(command.output().expect("it runs").stdout).expect("text");
        let rows = out.lines().filter(|it| it.trim().starts_with("single-leader ")).count();
        assert!(bands.contains(&rows), "{columns}: {rows} in {out}");
        let heads = out.lines().filter(|line| line.starts_with("    ") && !line.contains(':'));
        let named: Vec<_> = heads.flat_map(str::split_whitespace).collect();
        for class in Class::ALL {
            let times = named.iter().filter(|name| **name == class.name()).count();
            assert_eq!(times, 1, "{columns}: {} in {out}", class.name());
        }
        let most = columns.parse().expect("a number");
        let too_wide = |line: &&str| most >= 60 && line.chars().count() > most;
        assert_eq!(out.lines().find(too_wide), None, "{columns}");
    }
}
