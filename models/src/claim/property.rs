//! The properties, written once for all protocols.
//!
//! A property reads [`Profile`]s: for each node whether it is up and where it stands, and what its
//! history says in the field's notions. It complains of what is wrong, in sentences; no complaint, no
//! violation. Beside each stands its *witness*, a world in which the property was exercised: one that
//! never was holds for no reason.

pub use super::{
    calls::{AGREEMENT, NO_LOST_CALL, SURRENDERED_BEFORE_SERVED},
    definition::{Group, Kind, Property},
    delivery::{NO_CREATION, NO_DUPLICATE, SURVIVORS_AGREEMENT, UNIFORM_AGREEMENT, VALIDITY},
    leadership::{
        BOUNDED_IDS, LEADER_EXISTS, NO_LIVELOCK, NOBODY_STOPPED, ONE_LEADER_PER_TERM, SINGLE_LEADER,
    },
    order::{TOTAL_ORDER_SURVIVORS, TOTAL_ORDER_UNIFORM, VIEW_ORDER},
};

/// Every property there is, in the order of reports.
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
    &AGREEMENT,
    &NO_LOST_CALL,
    &NOBODY_STOPPED,
    &SURRENDERED_BEFORE_SERVED,
    &BOUNDED_IDS,
    &NO_LIVELOCK,
];

/// Those of group membership.
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

/// Those of leader election.
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

/// The same where there are no terms, and elections are not counted.
pub const OF_ELECTIONS_WITHOUT_TERMS: &[&Property] = &[
    &SINGLE_LEADER,
    &LEADER_EXISTS,
    &AGREEMENT,
    &NO_LOST_CALL,
    &NOBODY_STOPPED,
    &SURRENDERED_BEFORE_SERVED,
    &NO_LIVELOCK,
];
