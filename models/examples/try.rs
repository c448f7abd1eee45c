use interrex_models::{search::*, world::*, property};
use std::sync::Arc;
fn main() {
    for (start, n, starts, commands, timeouts, crashes, timers) in [
        (Start::Joined,2,0,1,0,1,Timers::Late),(Start::Joined,2,0,3,0,2,Timers::Late),
        (Start::Joined,3,0,2,0,2,Timers::Late),(Start::Joined,3,0,3,0,2,Timers::Late),
        (Start::Joined,4,0,2,0,2,Timers::Late),(Start::Joined,4,0,3,0,2,Timers::Late),
        (Start::Joining,3,2,2,3,1,Timers::Late),(Start::Joining,3,2,1,3,2,Timers::Late),(Start::Joining,3,2,1,3,1,Timers::Any),
        (Start::Joining,4,3,0,4,1,Timers::Late),(Start::Joining,4,3,1,4,1,Timers::Late),
    ] {
        let mut budgets = Budgets::default();
        budgets[Budget::Starts]=starts; budgets[Budget::Commands]=commands; budgets[Budget::Timeouts]=timeouts; budgets[Budget::Crashes]=crashes;
        for threads in [1,2] {
        let rules = Arc::new(Rules::new(interrex::gms3::Gms3::default(), Environment{nodes:n,start,timers,budgets}));
        let t = std::time::Instant::now();
        let f = search(&rules, property::ALL, Limits{threads,..Default::default()}, &mut |_|{});
        println!("{start:?} {n} ({commands},{crashes}) {timers:?} t{threads}: {} {} {} {} {:.2}s {:?}", f.states, f.transitions, f.depth, f.settled, t.elapsed().as_secs_f64(), f.census);
        if threads==1 { for p in &f.properties { println!("    {:40} v{} w{} {:?}", p.property.name, p.violated as u8, p.witnessed as u8, p.counterexample.as_ref().map(|c| c.len())); } }
        }
    }
}
