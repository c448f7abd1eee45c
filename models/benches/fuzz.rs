//! How fast random schedules are taken, judged action by action.
//!
//! `cargo bench -p interrex-models --bench fuzz`

#![allow(missing_docs, reason = "criterion's macros")]

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use interrex_models::{
    claim::property,
    explore::sample::{Schedules, fuzz},
    model::environment::{Budget, Start},
    protocol::registry::gms3,
    verdict::scenario::Scenario,
};

/// Five members, two crashes, and so many of each other fault.
fn scenario(commands: u32, others: u32) -> Scenario {
    let builder = Scenario::builder().nodes(5).start(Start::Joined);
    let builder =
        Budget::FAULTS.iter().fold(builder, |builder, fault| builder.budget(*fault, others));
    let builder = builder
        .budget(Budget::Commands, commands)
        .budget(Budget::Crashes, 2)
        .property(&property::SINGLE_LEADER);
    builder.build().expect("it fits")
}

/// With the budgets of `gms3/joined-5`; with twice the commands, where runs have less in common, and less
/// of them is remembered; and with all faults.
fn gms3_joined_5(criterion: &mut Criterion) {
    // Many, since what they find is shrunk in the end, however many there are.
    let schedules = Schedules { count: 100_000, ..Schedules::default() };
    let mut group =
        criterion.benchmark_group("gms3 joined, 5 nodes, 2 crashes, 13 properties judged");
    for (name, commands, others) in
        [("2 commands", 2, 0), ("4 commands", 4, 0), ("2 commands, all other faults once", 2, 1)]
    {
        let scenario = scenario(commands, others);
        let take = || fuzz(gms3(), &scenario, schedules, &mut |_| {});
        group.throughput(Throughput::Elements(take().actions));
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        group.bench_function(format!("random schedules, {name}"), |bencher| {
            bencher.iter(take);
        });
    }
    group.finish();
}

criterion_group!(benches, gms3_joined_5);
criterion_main!(benches);
