//! The example of both seeds (`test_cb`): a dictionary with a copy at every node.

use super::{
    behaviour::{Answer, Behaviour, Caller, Context, Next},
    election::Election,
};
use crate::machine::Value;
use im::OrdMap;
use serde::{Deserialize, Serialize};
use std::marker::PhantomData;

/// A replicated dictionary. Writes go to the leader, which broadcasts them. A process that surrenders gets a copy of
/// the whole dictionary. Look-ups are answered from the local copy.
/// (See the example of [`gen_leader`](super).)
#[derive(Clone, Copy, Debug)]
pub struct Dictionary<K, V>(PhantomData<(K, V)>);

impl<K, V> Default for Dictionary<K, V> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request<K, V> {
    /// Store a value under a key; by `leader_call`.
    Store(K, V),
    /// Delete a key; by `leader_call`.
    Delete(K),
    /// Look up the value under a key; by `call`.
    Lookup(K),
    /// List all entries, in the order of keys; by `call`.
    Dump,
}

/// A reply to a client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply<K, V> {
    /// The write is done.
    Ok,
    /// The value that was looked up, if there is one.
    Found(Option<V>),
    /// All entries, in the order of keys.
    Dumped(Vec<(K, V)>),
}

impl<K: Value, V: Value, E: Election> Behaviour<E> for Dictionary<K, V> {
    type State = OrdMap<K, V>;
    type Request = Request<K, V>;
    type Reply = Reply<K, V>;
    /// A write.
    type Broadcast = Request<K, V>;
    type Synch = OrdMap<K, V>;

    fn elected(&self, dict: &mut OrdMap<K, V>, _: &mut Context<'_, E, Self>) -> OrdMap<K, V> {
        dict.clone()
    }

    fn surrendered(
        &self,
        dict: &mut OrdMap<K, V>,
        synch: OrdMap<K, V>,
        _: &mut Context<'_, E, Self>,
    ) {
        *dict = synch;
    }

    fn handle_leader_call(
        &self,
        dict: &mut OrdMap<K, V>,
        request: Request<K, V>,
        _: Caller,
        _: &mut Context<'_, E, Self>,
    ) -> Answer<Reply<K, V>, Request<K, V>> {
        match apply(dict, request.clone()) {
            Reply::Ok => Answer::ReplyAndBroadcast(Reply::Ok, request),
            found @ (Reply::Found(_) | Reply::Dumped(_)) => Answer::Reply(found),
        }
    }

    fn from_leader(
        &self,
        dict: &mut OrdMap<K, V>,
        write: Request<K, V>,
        _: &mut Context<'_, E, Self>,
    ) -> Next<Request<K, V>> {
        apply(dict, write);
        Next::Continue
    }

    fn handle_call(
        &self,
        dict: &mut OrdMap<K, V>,
        request: Request<K, V>,
        _: Caller,
        _: &mut Context<'_, E, Self>,
    ) -> Answer<Reply<K, V>, Request<K, V>> {
        match request {
            // A local write would reach no other copy.
            Request::Store(..) | Request::Delete(_) => Answer::NoReply,
            Request::Lookup(_) | Request::Dump => Answer::Reply(apply(dict, request)),
        }
    }
}

/// Carries a request out.
pub(crate) fn apply<K: Value, V: Value>(
    dict: &mut OrdMap<K, V>,
    request: Request<K, V>,
) -> Reply<K, V> {
    match request {
        Request::Store(key, value) => {
            dict.insert(key, value);
            Reply::Ok
        }
        Request::Delete(key) => {
            dict.remove(&key);
            Reply::Ok
        }
        Request::Lookup(key) => Reply::Found(dict.get(&key).cloned()),
        Request::Dump => {
            Reply::Dumped(dict.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
        }
    }
}
