//! Several workers that share work.

use std::{panic::resume_unwind, sync::Mutex, thread};

/// Lets workers do some work on each item, as many at a time as there are workers, the first of them on this thread.
/// The results come in the order of the items. Each worker meets its items in that order, too. `tick` is called after
/// each item of the first.
pub(super) fn share<Worker: Send, Item: Send, Result: Send>(
    workers: &mut [Worker],
    items: Vec<Item>,
    work: impl Fn(&mut Worker, Item) -> Result + Sync,
    mut tick: impl FnMut(),
) -> Vec<Result> {
    // A thread is not worth a single item.
    let needed = workers.len().min(items.len()).max(1);
    let waiting = Mutex::new(items.into_iter().enumerate());
    let run = |worker: &mut Worker, tick: &mut dyn FnMut()| {
        let next = || waiting.lock().ok()?.next();
        let mut done = vec![];
        while let Some((at, item)) = next() {
            done.push((at, work(worker, item)));
            tick();
        }
        done
    };
    let Some((first, others)) = workers[..needed].split_first_mut() else { return vec![] };
    let mut done = thread::scope(|scope| {
        let others = others.iter_mut().map(|worker| scope.spawn(|| run(worker, &mut || {})));
        let others: Vec<_> = others.collect();
        let mut done = run(first, &mut tick);
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
