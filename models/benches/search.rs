//! How fast worlds are explored: hash-consed, against the same worlds as plain vectors that are cloned.
//!
//! `cargo bench -p interrex-models`

#![allow(missing_docs, reason = "criterion's macros")]

#[path = "../../tests/harness/reference/mod.rs"]
#[allow(dead_code, unreachable_pub, clippy::pedantic, reason = "a program of its own")]
mod reference;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use interrex_models::{
    claim::property::{self, Property},
    explore::search::{EngineName, Limits, search},
    model::{
        environment::{Budget, Environment, Start, Timers},
        world::Rules,
    },
    protocol::registry::gms3,
};
use std::sync::Arc;

/// gms3 joined, 4 nodes, 3 commands, 2 crashes.
const TRANSITIONS: u64 = 2_705_229;

fn explore(properties: &[&'static Property], engine: EngineName, threads: usize) {
    let given = [(Budget::Commands, 3), (Budget::Crashes, 2)].into();
    let environment = Environment::new(4, Start::Joined, Timers::Late, &given).expect("it fits");
    let rules = Arc::new(Rules::new(gms3(), environment));
    let limits = Limits { threads, ..Limits::default() };
    let findings = search(&rules, properties, Some(engine), limits, &mut |_| {});
    assert_eq!(findings.transitions, TRANSITIONS);
}

fn joined_4(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gms3 joined, 4 nodes, 3 commands, 2 crashes");
    group.throughput(Throughput::Elements(TRANSITIONS));
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.bench_function("plain vectors, nothing judged", |bencher| {
        bencher.iter(|| {
            let counts = reference::gms3::Group::joined(4, 3, 2).explore();
            assert_eq!(counts.transitions as u64, TRANSITIONS);
        });
    });
    let all = property::OF_GROUPS;
    for (name, properties, engine, threads) in [
        ("ours, nothing judged", &[] as &[_], EngineName::Layers, 1),
        ("ours, everything judged, livelocks looked for", all, EngineName::Layers, 1),
        ("the same on two threads", all, EngineName::Layers, 2),
        ("the same by stateright, one thread", all, EngineName::Stateright, 1),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| explore(properties, engine, threads));
        });
    }
    group.finish();
}

criterion_group!(benches, joined_4);
criterion_main!(benches);
