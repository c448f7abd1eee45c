//! The application of a group.

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
}
