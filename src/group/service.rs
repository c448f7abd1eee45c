//! The application of a group.

use super::size::first;
use crate::{
    gen_leader::dictionary::{Dictionary, Reply, Request, apply},
    machine::Value,
};
use im::OrdMap;
use std::marker::PhantomData;

/// An application with a copy at every member. All copies carry out the same requests in the same order.
///
/// So a request must depend on nothing but the state and itself. It must not panic.
///
/// # Example
///
/// A counter, which answers with the sum so far:
///
/// ```
/// use interrex::group::Service;
///
/// struct Counter;
/// impl Service for Counter {
///     type State = u64;
///     type Request = u64;
///     type Reply = u64;
///     fn carry_out(&self, sum: &mut u64, _number: u64, more: u64) -> u64 {
///         *sum += more;
///         *sum
///     }
/// }
///
/// let mut sum = 40;
/// assert_eq!(Counter.carry_out(&mut sum, 1, 2), 42);
/// ```
pub trait Service: Send + Sync + 'static {
    /// Its state. A group begins with the default.
    type State: Value + Default;
    /// A request.
    type Request: Value;
    /// The reply to a request.
    type Reply: Value;

    /// Carries a request out. `number` is its place in the order of views and messages.
    fn carry_out(
        &self,
        state: &mut Self::State,
        number: u64,
        request: Self::Request,
    ) -> Self::Reply;

    /// The first piece of a state, and the rest; no rest if the piece is all of it. A process that lacks more entries than
    /// the others remember is given a state, one piece in a message. A piece should be small: it delays what is sent after
    /// it. By default a state is one piece.
    fn split(&self, state: Self::State) -> (Self::State, Option<Self::State>) {
        (state, None)
    }

    /// Adds the next piece to those before it. By default it replaces them.
    fn join(&self, pieces: &mut Self::State, next: Self::State) {
        *pieces = next;
    }
}

/// No state: members only deliver messages to each other.
#[derive(Clone, Copy, Debug)]
pub struct Messages<T>(PhantomData<fn() -> T>);

impl<T> Default for Messages<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Value> Service for Messages<T> {
    type State = ();
    type Request = T;
    type Reply = ();

    fn carry_out(&self, (): &mut (), _: u64, _: T) {}
}

/// The dictionary of `gen_leader`.
impl<K: Value, V: Value> Service for Dictionary<K, V> {
    type State = OrdMap<K, V>;
    type Request = Request<K, V>;
    type Reply = Reply<K, V>;

    fn carry_out(&self, dict: &mut OrdMap<K, V>, _: u64, request: Request<K, V>) -> Reply<K, V> {
        apply(dict, request)
    }

    fn split(&self, mut dict: OrdMap<K, V>) -> (OrdMap<K, V>, Option<OrdMap<K, V>>) {
        let keys: Vec<K> = first(dict.iter(), PIECE).map(|(key, _)| key.clone()).collect();
        // Removed one by one, so that what is shared with other copies is copied once.
        let piece = keys.iter().filter_map(|key| dict.remove_with_key(key)).collect();
        (piece, Some(dict).filter(|rest| !rest.is_empty()))
    }

    fn join(&self, pieces: &mut OrdMap<K, V>, next: OrdMap<K, V>) {
        pieces.extend(next);
    }
}

/// The size of a piece of a dictionary in bytes. The last entry of a piece may go beyond it.
const PIECE: u64 = 1 << 18;
