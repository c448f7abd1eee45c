//! Schedules that are run twice: the machine must do the same both times.

use crate::{
    explore::audit::{Difference, audit_run},
    model::{action::ActionOf, digest::combine, view::Digests, world::Rules},
    protocol::Protocol,
    verdict::outcome::Comparison,
};
use serde::{Serialize, Serializer};

/// The result of running schedules again.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Again {
    /// The digest of all schedules that were compared (actions, effects and worlds): the same on every machine.
    #[serde(serialize_with = "in_hex")]
    pub digest: u64,
    /// The first schedule in which the machine did something else the second time. Later ones are not compared.
    pub schedule: Option<u64>,
    /// The first step that differs in it.
    pub difference: Option<Difference>,
}

impl Again {
    /// Runs a schedule again, by rules that remember nothing.
    pub(super) fn take<P: Protocol>(
        &mut self,
        rules: &Rules<P>,
        schedule: u64,
        run: &[ActionOf<P>],
    ) {
        if self.difference.is_some() {
            return;
        }
        let fresh = rules.anew();
        let [rolled, rolled_again] = [rules, &fresh].map(|rules| Digests::new(rules).run(run));
        if rolled != rolled_again {
            self.difference = audit_run(rules, &fresh, run);
            self.schedule = self.difference.as_ref().map(|_| schedule);
        } else if let Some(last) = rolled.ok().and_then(|rolled| rolled.last().copied()) {
            self.digest = combine(&[self.digest, last]);
        }
    }

    /// The result in words.
    pub(super) fn said(&self) -> String {
        match self.schedule {
            Some(schedule) => format!("schedule {schedule} is another one when it is run again"),
            None => "the same when run again".into(),
        }
    }

    /// The comparison with the expectation: nothing differs.
    #[must_use]
    pub fn comparison(&self) -> Comparison {
        match self.difference {
            Some(_) => Comparison::Differs,
            None => Comparison::AsExpected,
        }
    }
}

/// Writes a digest as an audit does: many readers of JSON would round the number.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn in_hex<S: Serializer>(digest: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{digest:016x}"))
}
