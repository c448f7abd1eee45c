//! The order of the joined run: causes before effects, and otherwise the clocks of the hosts.

use super::{
    execution::WAIT,
    join::Cluster,
    life::{Input, Place},
};
use crate::real::application::Application;
use rustc_hash::FxHashMap;

/// Additional constraints on the order, and the length of each life.
pub(super) struct Constraints {
    /// The number of moments of each life: its steps, and its end.
    pub limits: Vec<usize>,
    /// Lives that must have begun before a step.
    pub begun: FxHashMap<Place, Vec<usize>>,
}

impl<R: Application> Cluster<'_, R> {
    /// Orders the whole run. A `Down` that cannot be true is treated as false.
    pub(super) fn put_in_order(&mut self) {
        loop {
            let constraints =
                Constraints { limits: self.all_moments(), begun: FxHashMap::default() };
            let stuck = match self.merge(&constraints) {
                Ok(order) => {
                    self.order = order;
                    return;
                }
                Err(stuck) => stuck,
            };
            let wrong = stuck.iter().copied().filter(|place| self.downs.contains_key(place));
            let earliest = wrong.min_by_key(|place| self.lives[place.life].steps[place.step].at);
            let Some(wrong) = earliest else {
                self.contradict(stuck[0], WAIT.into());
                return;
            };
            let gone = self.downs.remove(&wrong);
            if let Some(gone) = gone
                && !self.downs.values().any(|other| *other == gone)
                && self.is_last_without_end(gone)
            {
                self.over[gone] = None;
                self.cuts[gone] = None;
            }
        }
    }

    /// True if a `Down` was the only evidence that the life is over.
    fn is_last_without_end(&self, life: usize) -> bool {
        let it = &self.lives[life];
        let is_last = self.nodes()[&it.me.node].last() == Some(&life);
        is_last && !it.has_ended() && it.torn.is_none()
    }

    /// The number of moments of each life.
    fn all_moments(&self) -> Vec<usize> {
        let ends = self.over.iter().map(|over| usize::from(over.is_some()));
        (0..self.lives.len())
            .map(|life| self.happened(life))
            .zip(ends)
            .map(|(n, end)| n + end)
            .collect()
    }

    /// Orders the moments: by causality, and otherwise by the clocks.
    ///
    /// # Errors
    /// If no remaining moment can be next: the next moment of each node.
    pub(super) fn merge(&self, constraints: &Constraints) -> Result<Vec<Place>, Vec<Place>> {
        let mut done = vec![0; self.lives.len()];
        let mut nodes: Vec<(&[usize], usize)> =
            self.nodes().values().map(|all| (&all[..], 0)).collect();
        let mut order = Vec::with_capacity(constraints.limits.iter().sum());
        loop {
            let mut next: Option<(u64, usize, Place)> = None;
            let mut stuck = vec![];
            for (node, (all, current)) in nodes.iter_mut().enumerate() {
                while all.get(*current).is_some_and(|life| done[*life] >= constraints.limits[*life])
                {
                    *current += 1;
                }
                let Some(&life) = all.get(*current) else { continue };
                let place = Place { life, step: done[life] };
                if !self.is_ready(place, &done, constraints) {
                    stuck.push(place);
                    continue;
                }
                let at = self.time(place).unwrap_or(u64::MAX);
                if next.is_none_or(|(earliest, ..)| at < earliest) {
                    next = Some((at, node, place));
                }
            }
            match next {
                Some((.., place)) => {
                    done[place.life] += 1;
                    order.push(place);
                }
                None if stuck.is_empty() => return Ok(order),
                None => return Err(stuck),
            }
        }
    }

    /// The time of a step or an end, if it is known.
    pub(super) fn time(&self, place: Place) -> Option<u64> {
        if self.is_end(place) {
            self.over[place.life]
        } else {
            Some(self.lives[place.life].steps[place.step].at)
        }
    }

    /// True if everything that must come before it is done.
    fn is_ready(&self, place: Place, done: &[usize], constraints: &Constraints) -> bool {
        if self.is_end(place) {
            return true;
        }
        let life = &self.lives[place.life];
        let has_begun = |life: usize| done[life] > 0;
        let is_caused = match life.steps[place.step].input {
            Input::Start => {
                let contact = life.contact.and_then(|contact| self.life(contact));
                contact.is_none_or(has_begun)
            }
            Input::Message { from, sent, .. } => self.life(from).is_none_or(|sender| {
                // A message that was never sent is a contradiction, which `match_messages` reports.
                let sent = usize::try_from(sent).unwrap_or(usize::MAX);
                sent >= self.happened(sender) || done[sender] > sent
            }),
            Input::Down(_) => self.downs.get(&place).is_none_or(|gone| {
                done[*gone] >= constraints.limits[*gone]
                    && constraints.limits[*gone] > self.happened(*gone)
            }),
            Input::Timeout(_) | Input::Command(_) => true,
        };
        is_caused
            && constraints.begun.get(&place).is_none_or(|all| all.iter().copied().all(has_begun))
    }
}
