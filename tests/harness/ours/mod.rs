//! The machines of the built-in protocols, for tests that need their types.

/// Evaluates an expression with the machine of a built-in protocol for real nodes and a roster.
macro_rules! with_machine {
    ($known:expr, $roster:expr, $machine:ident => $body:expr) => {{
        use interrex::{gen_leader::Repair, group::Safeguard};
        use interrex_models::protocol::{gen_leader, gms2, gms3, group};
        let (name, roster) = ($known.name(), $roster);
        let safeguard = |it: &Safeguard| name == format!("group without {}", it.name());
        let repair = |it: &Repair| name == format!("gen_leader without {}", it.name());
        match name {
            "group" => {
                let $machine = group::real::machine(roster);
                $body
            }
            "group_any" => {
                let $machine = group::real::of_survivors(roster);
                $body
            }
            "group with short memory" => {
                let $machine = group::real::with(group::Memory::Short, roster);
                $body
            }
            "gms3" => {
                let $machine = gms3::real::machine(roster);
                $body
            }
            "gms2" => {
                let $machine = gms2::real::machine(roster);
                $body
            }
            "gen_leader_1_0" => {
                let $machine = gen_leader::real::of_2003(roster);
                $body
            }
            _ => {
                if let Some(safeguard) = Safeguard::ALL.into_iter().find(safeguard) {
                    let $machine = group::real::without(safeguard, roster);
                    $body
                } else {
                    let $machine = match Repair::ALL.into_iter().find(repair) {
                        Some(repair) => gen_leader::real::without(repair, roster),
                        None if name == "gen_leader" => gen_leader::real::repaired(roster),
                        None if name == "gen_leader_2007" => gen_leader::real::of_2007(roster),
                        None => panic!("{name} is not built in"),
                    };
                    $body
                }
            }
        }
    }};
}
pub(crate) use with_machine;

/// Evaluates an expression with the machine of a built-in protocol for scenarios in an environment.
#[allow(unused_macros, reason = "some tests only run real nodes")]
macro_rules! with_protocol {
    ($known:expr, $environment:expr, $protocol:ident => $body:expr) => {{
        let environment = $environment;
        let roster = interrex::gen_leader::Roster::default();
        $crate::ours::with_machine!($known, &roster, machine => {
            let $protocol = interrex_models::real::application::Application::model(&machine, environment);
            $body
        })
    }};
}
#[allow(unused_imports, reason = "some tests only run real nodes")]
pub(crate) use with_protocol;
