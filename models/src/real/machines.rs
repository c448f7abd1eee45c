//! The machines of real nodes: what `interrex node` runs, and what logs of it are validated against.
//!
//! They are the protocols of the harness with applications that are of use: gms3 multicasts texts, and the dictionary
//! of `gen_leader` stores texts under texts.

use interrex::{
    gen_leader::{Bully, Capture, Dictionary, GenLeader, Repairs, Roster},
    gms3::Gms3,
    machine::Address,
};
use serde::{Deserialize, Serialize};

/// What is multicast: a text, stamped by the program that sends it, so that the same text sent twice is two messages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Multicast {
    /// The process that sends it.
    pub from: Address,
    /// How many that process has multicast before, in this life.
    pub index: u64,
    /// The text.
    pub text: String,
}

/// What is elected for: texts under texts. Tags of calls are chosen by the program, each time another in a life.
pub type Texts = Dictionary<String, String>;

/// gms3, multicasting texts.
#[must_use]
pub fn gms3() -> Gms3<Multicast> {
    Gms3::default()
}

/// The dictionary over the election of 2003.
#[must_use]
pub fn gen_leader_1_0(roster: Roster) -> GenLeader<Capture, Texts> {
    GenLeader::v2003(Texts::default(), roster)
}

/// The dictionary over the election of 2007, with repairs.
#[must_use]
pub fn gen_leader(repairs: Repairs, roster: Roster) -> GenLeader<Bully, Texts> {
    GenLeader::new(Texts::default(), roster).with_repairs(repairs)
}

/// What must be the same at all nodes beside the protocol, as their configuration and their logs say it: of
/// `gen_leader` the roster, of gms3 nothing.
///
/// # Panics
/// If a roster cannot be written as JSON; it can.
#[must_use]
pub fn configuration(roster: Option<&Roster>) -> String {
    roster
        .map_or_else(String::new, |roster| serde_json::to_string(roster).expect("a roster is JSON"))
}

/// The roster that a configuration says; the empty one where there is none.
///
/// # Errors
/// If it is not the JSON of a roster.
pub fn roster(configuration: &str) -> Result<Roster, serde_json::Error> {
    if configuration.is_empty() {
        return Ok(Roster::default());
    }
    serde_json::from_str(configuration)
}

/// Evaluates an expression with the machine that a name of the [registry](crate::protocol::registry) stands for, as real nodes
/// run it, with a roster. (gms3 has none.)
#[macro_export]
macro_rules! with_machine {
    ($known:expr, $roster:expr, $machine:ident => $body:expr) => {{
        let known: $crate::protocol::registry::Known = $known;
        let roster: &interrex::gen_leader::Roster = $roster;
        match known {
            $crate::protocol::registry::Known::GenLeader1_0 => {
                let $machine = $crate::real::machines::gen_leader_1_0(roster.clone());
                $body
            }
            $crate::protocol::registry::Known::GenLeader2007
            | $crate::protocol::registry::Known::GenLeader
            | $crate::protocol::registry::Known::GenLeaderWithout(_) => {
                let $machine = $crate::real::machines::gen_leader(known.repairs(), roster.clone());
                $body
            }
            $crate::protocol::registry::Known::Gms3 => {
                // It has no use for one.
                let _ = roster;
                let $machine = $crate::real::machines::gms3();
                $body
            }
        }
    }};
}
