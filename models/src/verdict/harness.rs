//! The harness of one protocol, whatever the types of its machine.
//!
//! A generic function is compiled once for each protocol in every program that calls it. Here each is compiled once, where
//! a protocol is [registered](crate::protocol::registry::Registry): the command and the tests only call it.

use crate::{
    claim::property::{Kind, Property},
    evidence::{
        outlook::{Outlook, Stray, outlook},
        replay::{Mode, Outcome, Replay, gone_on, replay_with},
        trace::Trace,
    },
    explore::{
        audit::{Audit, Difference, Lives, audit, recompute},
        coverage::Coverage,
        layers::checkpoint::Checkpoint,
        sample::{self, Schedules, fuzz_with},
        search::{EngineName, Limits, Progress},
        shrink::shrink,
    },
    io::file::FileError,
    model::world::Rules,
    protocol::Protocol,
    verdict::{
        check::{Report, check_kept, check_with},
        scenario::Scenario,
    },
};
use std::sync::Arc;

/// A protocol in an environment, and everything that can be done with the two.
///
/// # Example
///
/// ```
/// use interrex_models::{explore::search::Limits, protocol::registry::built_in, model::environment::*, claim::property, verdict::scenario::Scenario};
///
/// let scenario = Scenario::builder()
///     .protocol(built_in()["gms3"])
///     .nodes(2)
///     .start(Start::Joined)
///     .budget(Budget::Crashes, 1)
///     .holds(&property::SINGLE_LEADER)
///     .build()?;
/// let report = scenario.harness().check(&scenario, None, Limits::default(), &mut |_| {});
/// report.assert_as_expected();
/// # Ok::<(), String>(())
/// ```
pub trait Harness {
    /// Explores a scenario exhaustively: see [`check_with`].
    fn check(
        &self,
        scenario: &Scenario,
        engine: Option<EngineName>,
        limits: Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Report;

    /// The same, by our own engine, with a search that is written down: see [`check_kept`].
    ///
    /// # Errors
    /// If the search cannot go on from the file.
    fn check_kept(
        &self,
        scenario: &Scenario,
        checkpoint: &Checkpoint,
        limits: Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Report, FileError>;

    /// Computes everything again that was needed so far, and compares: see [`recompute()`].
    fn recompute(&self, lives: Lives) -> Option<Difference>;

    /// Visits all worlds, computes every step again and compares: see [`audit()`].
    fn audit(&self, limits: Limits, progress: &mut dyn FnMut(u64)) -> Audit;

    /// The coverage of all checks so far.
    fn coverage(&self) -> Coverage;

    /// Takes random schedules in the environment of a scenario: see [`fuzz`](sample::fuzz).
    fn fuzz(
        &self,
        scenario: &Scenario,
        schedules: Schedules,
        progress: &mut dyn FnMut(u64),
    ) -> sample::Report;

    /// Replays a trace in its own environment: see [`replay`](crate::evidence::replay::replay).
    fn replay(
        &self,
        trace: &Trace,
        property: &Property,
        mode: Mode,
        until: Option<usize>,
    ) -> Replay;

    /// The outlook from the end of the run whose actions have these names: see [`outlook()`].
    ///
    /// # Errors
    /// If one of them is not possible.
    fn outlook(&self, properties: &[&'static Property], names: &[String])
    -> Result<Outlook, Stray>;

    /// The same run, gone on with until settled properties are judged: see [`gone_on`].
    fn gone_on(&self, trace: &Trace) -> Option<Trace>;

    /// Replays the schedule of a trace. If it ends before its settled property is judged, it [goes on](Self::gone_on): the
    /// replay then has more steps than the trace.
    fn reproduce(&self, trace: &Trace, property: &Property) -> Replay {
        let replay = self.replay(trace, property, Mode::Schedule, None);
        if replay.outcome != Outcome::Unsettled || property.kind != Kind::Settled {
            return replay;
        }
        let longer = self.gone_on(trace);
        longer.map_or(replay, |longer| self.replay(&longer, property, Mode::Schedule, None))
    }

    /// Looks for a minimal run that violates the same property: see [`shrink()`].
    fn shrink(&self, trace: &Trace, property: &'static Property) -> Option<Trace>;
}

impl<P: Protocol> Harness for Arc<Rules<P>> {
    fn check(
        &self,
        scenario: &Scenario,
        engine: Option<EngineName>,
        limits: Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Report {
        check_with(self, scenario, engine, limits, progress)
    }

    fn check_kept(
        &self,
        scenario: &Scenario,
        checkpoint: &Checkpoint,
        limits: Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Report, FileError> {
        check_kept(self, scenario, checkpoint, limits, progress)
    }

    fn recompute(&self, lives: Lives) -> Option<Difference> {
        recompute(self, lives)
    }

    fn audit(&self, limits: Limits, progress: &mut dyn FnMut(u64)) -> Audit {
        audit(self, limits, progress)
    }

    fn coverage(&self) -> Coverage {
        Coverage::of(self)
    }

    fn fuzz(
        &self,
        scenario: &Scenario,
        schedules: Schedules,
        progress: &mut dyn FnMut(u64),
    ) -> sample::Report {
        let rules = self.in_environment(scenario.environment.clone());
        fuzz_with(rules, scenario, schedules, progress)
    }

    fn replay(
        &self,
        trace: &Trace,
        property: &Property,
        mode: Mode,
        until: Option<usize>,
    ) -> Replay {
        let rules = self.in_environment(trace.environment.clone());
        replay_with(&rules, trace, property, mode, until)
    }

    fn outlook(
        &self,
        properties: &[&'static Property],
        names: &[String],
    ) -> Result<Outlook, Stray> {
        outlook(&self.anew(), properties, names)
    }

    fn gone_on(&self, trace: &Trace) -> Option<Trace> {
        gone_on(&self.in_environment(trace.environment.clone()), trace)
    }

    fn shrink(&self, trace: &Trace, property: &'static Property) -> Option<Trace> {
        shrink(&mut self.in_environment(trace.environment.clone()), trace, property)
    }
}

impl Scenario {
    /// The harness of its protocol in its environment.
    ///
    /// # Panics
    /// If it names no protocol.
    #[must_use]
    pub fn harness(&self) -> Box<dyn Harness> {
        let known = self.protocol.expect("a scenario that names its protocol");
        known.harness(&self.environment)
    }
}
