use interrex_models::{search::*, world::*};
use std::sync::Arc;
fn main() {
    for (start, n, starts, commands, timeouts, crashes, timers) in
        [(Start::Joined, 4, 0, 3, 0, 2, Timers::Late)]
    {
        let mut budgets = Budgets::default();
        budgets[Budget::Starts] = starts;
        budgets[Budget::Commands] = commands;
        budgets[Budget::Timeouts] = timeouts;
        budgets[Budget::Crashes] = crashes;
        for _ in 0..3 {
            for threads in [1] {
                for props in [&[][..], interrex_models::property::ALL] {
                    let rules = Arc::new(Rules::new(
                        interrex::gms3::Gms3::default(),
                        Environment {
                            nodes: n,
                            start,
                            timers,
                            budgets,
                        },
                    ));
                    let t = std::time::Instant::now();
                    let f = search(
                        &rules,
                        props,
                        Limits {
                            threads,
                            ..Default::default()
                        },
                        &mut |_| {},
                    );
                    println!(
                        "{start:?} {n} ({commands},{crashes}) {timers:?} t{threads}: {} {} {} {} {:.2}s {:?}",
                        f.states,
                        f.transitions,
                        f.depth,
                        f.settled,
                        t.elapsed().as_secs_f64(),
                        f.census
                    );
                }
            }
        }
    }
}
