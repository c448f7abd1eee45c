//! Facts: what the properties of one protocol read that are not among the notions of all.

use interrex::machine::Address;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// A fact of a protocol's own about a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fact {
    /// Its name.
    pub name: &'static str,
    /// Its value, as JSON.
    value: Value,
}

impl Fact {
    /// A fact.
    ///
    /// # Panics
    /// If the value cannot be written as JSON; the parts of a machine can.
    #[must_use]
    pub fn new(name: &'static str, value: impl Serialize) -> Self {
        Self { name, value: serde_json::to_value(value).expect("a fact is JSON") }
    }

    /// Its value.
    ///
    /// # Panics
    /// If it is of another type.
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self) -> T {
        T::deserialize(&self.value)
            .unwrap_or_else(|error| panic!("the fact `{}` is {}: {error}", self.name, self.value))
    }

    /// The same with other numbers of lives.
    pub(crate) fn renumbered(&self, numbered: &impl Fn(Address) -> Option<Address>) -> Self {
        Self { name: self.name, value: renumbered(&self.value, numbered) }
    }
}

/// A value in which each text that is a process is replaced by another process.
fn renumbered(value: &Value, numbered: &impl Fn(Address) -> Option<Address>) -> Value {
    let inner = |value| renumbered(value, numbered);
    match value {
        Value::String(text) => {
            let process = text.parse().ok().and_then(numbered);
            process.map_or_else(|| value.clone(), |process| process.to_string().into())
        }
        Value::Array(items) => items.iter().map(inner).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), inner(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}
