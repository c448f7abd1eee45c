//! A scenario that is described in arguments.

use crate::{
    claim::property::Property,
    cli::{
        Failure,
        choice::choice,
        chosen::{budgets, of_option, parse_budget},
    },
    io::file::shown,
    model::environment::{Bound, Budget, Start, Storage, Timers, Times},
    protocol::registry::Known,
    verdict::{outcome::Expected, scenario::Scenario},
};
use std::collections::BTreeMap;

/// A scenario that is described in arguments.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "A scenario of your own")]
pub(super) struct Made {
    /// The protocol, by name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["patterns", "nightly"], requires_all = ["nodes", "start"])]
    pub(super) protocol: Option<String>,
    /// The number of nodes that may lead
    #[arg(long, value_name = "N", requires = "protocol")]
    nodes: Option<u16>,
    /// The number of workers: further nodes, which follow and never lead
    #[arg(long, value_name = "W", requires = "protocol", default_value_t = 0)]
    workers: u16,
    /// The beginning of the group
    #[arg(long, value_parser = choice::<Start>(), requires = "protocol")]
    start: Option<Start>,
    /// When timers may fire
    #[arg(long, value_parser = choice::<Timers>(), requires = "protocol", default_value_t)]
    timers: Timers,
    /// The stable storage of a restarted node
    #[arg(long, value_parser = choice::<Storage>(), requires = "protocol", default_value_t)]
    storage: Storage,
    /// How often each of these can happen: starts, commands, timeouts (a number or unlimited), crashes, restarts,
    /// drops, duplicates, overtakes, suspicions, cuts
    #[arg(long, value_name = "NAME=N,…", requires = "protocol", value_delimiter = ',', value_parser = parse_budget)]
    budget: Vec<(Budget, Times)>,
    /// Leave out worlds beyond this value of the protocol's measure; every verdict is then called bounded
    #[arg(long, value_name = "NAME=N", requires = "protocol")]
    bound: Option<Bound>,
    /// Only these properties; a scenario of a file judges those that it names
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    property: Vec<String>,
}

/// The expectations of such a scenario.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "A scenario of your own")]
pub(super) struct Expectations {
    /// The expected verdicts: NAME=holds, NAME=unwitnessed, NAME=violated:STEPS, NAME=anything; or just none, if nothing
    /// is expected of any property. Without it, a violation is not as expected
    #[arg(long, value_name = "NAME=VERDICT,…", requires = "protocol", value_delimiter = ',', value_parser = parse_expectation)]
    expect: Vec<Expectation>,
}

/// A part of `--expect`.
#[derive(Clone, Debug)]
enum Expectation {
    /// `none`.
    Nothing,
    /// `NAME=VERDICT`.
    Of(String, Expected),
}

fn parse_expectation(text: &str) -> Result<Expectation, String> {
    if text == "none" {
        return Ok(Expectation::Nothing);
    }
    let form = "expected NAME=holds, NAME=unwitnessed, NAME=violated:STEPS, NAME=anything, or none";
    let (name, verdict) = text.split_once('=').ok_or(form)?;
    let expected = match (verdict, verdict.strip_prefix("violated:")) {
        ("holds", _) => Expected::Holds,
        ("unwitnessed", _) => Expected::Unwitnessed,
        ("anything", _) => Expected::Anything,
        (_, Some(steps)) => Expected::Violated(steps.parse().map_err(|_| form)?),
        _ => return Err(form.into()),
    };
    Ok(Expectation::Of(name.into(), expected))
}

impl Made {
    /// Why a property cannot be asked for, of scenarios that are files: each judges the properties that it names.
    pub(super) fn refused(&self, scenarios: &[Scenario]) -> Option<Failure> {
        let name = self.property.first()?;
        let alone = "--property is for a scenario that is described with --protocol";
        let [Scenario { name: scenario, protocol: Some(known), source: Some(source), .. }] =
            scenarios
        else {
            return Some(Failure::Usage(format!(
                "{alone}; others judge the properties that they name"
            )));
        };
        let property = match known.property(name) {
            Ok(property) => property.name,
            Err(message) => return Some(Failure::Usage(message)),
        };
        let file = shown(&source.file);
        Some(Failure::Usage(if source.properties.contains_key(property) {
            format!("{alone}; {scenario} judges `{property}` among others: leave out --property")
        } else {
            format!(
                "{alone}; {scenario} does not judge `{property}`: name it in [expect.properties] of {file}, as in \
                 `{property} = \"holds\"`"
            )
        }))
    }

    /// The scenario, with these expectations.
    pub(super) fn scenario(
        &self,
        known: Known,
        expectations: &Expectations,
    ) -> Result<Scenario, Failure> {
        let (Some(nodes), Some(start)) = (self.nodes, self.start) else {
            return Err(Failure::Usage("--protocol needs --nodes and --start".into()));
        };
        let mut builder = Scenario::builder()
            .protocol(known)
            .summary("described on the command line")
            .nodes(nodes)
            .workers(self.workers)
            .start(start)
            .timers(self.timers)
            .storage(self.storage);
        for (budget, times) in budgets(&self.budget)? {
            builder = builder.budget(budget, times);
        }
        if let Some(Bound { measure, most }) = &self.bound {
            builder = builder.bound(measure, *most);
        }
        let expected = expectations.of(known)?;
        for property in self.properties(known)? {
            builder = match expected(property) {
                Some(expected) => builder.expect(property, expected),
                None => builder.property(property),
            };
        }
        let mut scenario =
            builder.try_build().map_err(|misfit| Failure::Usage(of_option(&misfit)))?;
        scenario.name = format!("{}/{}", known.name(), scenario.name);
        Ok(scenario)
    }

    /// The properties that are asked for, or all.
    fn properties(&self, known: Known) -> Result<Vec<&'static Property>, Failure> {
        if self.property.is_empty() {
            return Ok(known.properties().to_vec());
        }
        if let Some(twice) = first_repeated(&self.property) {
            return Err(Failure::Usage(format!("the property `{twice}` is given twice")));
        }
        let named: Result<_, _> = self.property.iter().map(|name| known.property(name)).collect();
        named.map_err(Failure::Usage)
    }
}

impl Expectations {
    /// The expectation of each property.
    fn of(&self, known: Known) -> Result<impl Fn(&Property) -> Option<Expected>, Failure> {
        let mut named = BTreeMap::new();
        let mut rest = None;
        for expectation in &self.expect {
            match expectation {
                Expectation::Nothing => rest = Some(Expected::Anything),
                Expectation::Of(name, expected) => {
                    let property = known.property(name).map_err(Failure::Usage)?;
                    named.insert(property.name, *expected);
                }
            }
        }
        Ok(move |property: &Property| named.get(property.name).copied().or(rest))
    }
}

fn first_repeated(names: &[String]) -> Option<&String> {
    names.iter().enumerate().find_map(|(at, name)| names[..at].contains(name).then_some(name))
}
