//! Warnings of one cause, which must not fill a disk.

use std::collections::BTreeMap;

/// The most causes that are told apart.
const MAX_CAUSES: usize = 1024;

/// How often each cause has occurred.
#[derive(Debug)]
pub(super) struct Repeats<Cause>(BTreeMap<Cause, u64>);

impl<Cause: Ord> Repeats<Cause> {
    pub(super) fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Counts an occurrence. Returns the count if it is worth a warning: 1, 2, 4, 8, ….
    pub(super) fn count(&mut self, cause: Cause) -> Option<u64> {
        if self.0.len() >= MAX_CAUSES && !self.0.contains_key(&cause) {
            self.0.clear();
        }
        let count = self.0.entry(cause).or_insert(0);
        *count += 1;
        count.is_power_of_two().then_some(*count)
    }

    /// Forgets causes that are over: the next occurrence is a first one.
    pub(super) fn forget(&mut self, over: impl Fn(&Cause) -> bool) {
        self.0.retain(|cause, _| !over(cause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_get_rare_until_the_cause_is_over() {
        let mut repeats = Repeats::new();
        let warned: Vec<_> = (0..9).filter_map(|_| repeats.count("silent")).collect();
        assert_eq!(warned, [1, 2, 4, 8]);
        assert_eq!(repeats.count("refused"), Some(1));
        repeats.forget(|cause| *cause == "silent");
        assert_eq!(repeats.count("silent"), Some(1));
    }
}
