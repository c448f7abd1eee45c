//! The registry of the protocols of this crate.

use super::{
    gen_leader, gms2, gms3,
    group::{self, Memory},
    registry::Registry,
};
use interrex::{
    gen_leader::{Repair, Roster},
    group::Safeguard,
};
use std::sync::LazyLock;

/// The protocols of this crate.
///
/// Those without a repair or a safeguard, and group with another memory than real nodes have, are
/// [variants](Registry::variant).
#[must_use]
pub fn built_in() -> &'static Registry {
    static BUILT_IN: LazyLock<Registry> = LazyLock::new(|| {
        let mut all = Registry::new()
            .protocol(group::real::machine)
            .protocol(group::real::of_survivors)
            .protocol(gms3::real::machine)
            .protocol(gms2::real::machine)
            .protocol(gen_leader::real::of_2003)
            .protocol(gen_leader::real::of_2007)
            .protocol(gen_leader::real::repaired);
        for safeguard in Safeguard::ALL {
            all = all.variant(move |it: &Roster| group::real::without(safeguard, it));
        }
        for memory in Memory::ALL {
            all = all.variant(move |it: &Roster| group::real::with(memory, it));
        }
        for repair in Repair::ALL {
            all = all.variant(move |it: &Roster| gen_leader::real::without(repair, it));
        }
        all
    });
    &BUILT_IN
}
