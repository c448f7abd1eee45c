//! The properties, written once for all protocols.
//!
//! A property reads [`Profile`](super::profile::Profile)s: the condition and standing of each node, and its history in the field's
//! notions. It makes a complaint, a sentence, for each violation. Each property has a *witness*, a world that
//! exercises it: a property that was never exercised holds vacuously.
//!
//! A protocol can have [properties of its own](Property::new), which read its own [facts](super::fact), too.

pub use super::{
    calls::{AGREEMENT, NO_LOST_CALL, SURRENDERED_BEFORE_SERVED},
    definition::{Complaints, Group, Kind, Property, Scope},
    delivery::{NO_CREATION, NO_DUPLICATE, SURVIVORS_AGREEMENT, UNIFORM_AGREEMENT, VALIDITY},
    leadership::{
        ALL_JOINED, BOUNDED_IDS, LEADER_EXISTS, NO_LIVELOCK, NOBODY_STOPPED, ONE_LEADER_PER_TERM,
        SINGLE_LEADER,
    },
    order::{TOTAL_ORDER_SURVIVORS, TOTAL_ORDER_UNIFORM, VIEW_ORDER},
};

/// All properties that are not one protocol's own, in the order of reports.
pub const ALL: &[&Property] = &[
    &SINGLE_LEADER,
    &ONE_LEADER_PER_TERM,
    &VIEW_ORDER,
    &TOTAL_ORDER_UNIFORM,
    &TOTAL_ORDER_SURVIVORS,
    &NO_CREATION,
    &NO_DUPLICATE,
    &VALIDITY,
    &UNIFORM_AGREEMENT,
    &SURVIVORS_AGREEMENT,
    &LEADER_EXISTS,
    &ALL_JOINED,
    &AGREEMENT,
    &NO_LOST_CALL,
    &NOBODY_STOPPED,
    &SURRENDERED_BEFORE_SERVED,
    &BOUNDED_IDS,
    &NO_LIVELOCK,
];

/// True if a property is one protocol's own.
pub(crate) fn is_own(property: &Property) -> bool {
    !ALL.iter().any(|common| common.name == property.name)
}

/// The properties of group membership.
pub const OF_GROUPS: &[&Property] = &[
    &SINGLE_LEADER,
    &ONE_LEADER_PER_TERM,
    &VIEW_ORDER,
    &TOTAL_ORDER_UNIFORM,
    &TOTAL_ORDER_SURVIVORS,
    &NO_CREATION,
    &NO_DUPLICATE,
    &VALIDITY,
    &UNIFORM_AGREEMENT,
    &SURVIVORS_AGREEMENT,
    &LEADER_EXISTS,
    &AGREEMENT,
    &NOBODY_STOPPED,
    &NO_LIVELOCK,
];

/// The properties of group membership that must hold whatever the detector says. Two leaders at a time cannot be
/// excluded there, only two that lead in the same term.
pub const OF_OUR_GROUPS: &[&Property] = &[
    &ONE_LEADER_PER_TERM,
    &VIEW_ORDER,
    &TOTAL_ORDER_UNIFORM,
    &TOTAL_ORDER_SURVIVORS,
    &NO_CREATION,
    &NO_DUPLICATE,
    &VALIDITY,
    &UNIFORM_AGREEMENT,
    &SURVIVORS_AGREEMENT,
    &LEADER_EXISTS,
    &ALL_JOINED,
    &AGREEMENT,
    &NO_LOST_CALL,
    &NOBODY_STOPPED,
    &NO_LIVELOCK,
];

/// The properties of leader election.
pub const OF_ELECTIONS: &[&Property] = &[
    &SINGLE_LEADER,
    &ONE_LEADER_PER_TERM,
    &LEADER_EXISTS,
    &AGREEMENT,
    &NO_LOST_CALL,
    &NOBODY_STOPPED,
    &SURRENDERED_BEFORE_SERVED,
    &BOUNDED_IDS,
    &NO_LIVELOCK,
];

/// The properties of leader election without terms, where elections are not counted.
pub const OF_ELECTIONS_WITHOUT_TERMS: &[&Property] = &[
    &SINGLE_LEADER,
    &LEADER_EXISTS,
    &AGREEMENT,
    &NO_LOST_CALL,
    &NOBODY_STOPPED,
    &SURRENDERED_BEFORE_SERVED,
    &NO_LIVELOCK,
];
