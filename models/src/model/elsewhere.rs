//! The same world, in which the lives of nodes begin elsewhere.
//!
//! In the model the lives of every node are 0, 1, 2, …. A real node numbers them by a clock: they begin anywhere, and
//! differently at each node. So every life is moved here, those of one node in their order. What is moved is each
//! [`Address`], and nothing else that happens to look like one: a name of a node, a number, a text.

use interrex::machine::{Address, Peer};
use serde::{
    Serialize, Serializer,
    de::DeserializeOwned,
    ser::{
        Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
        SerializeTuple, SerializeTupleStruct, SerializeTupleVariant,
    },
};
use serde_json::{Error, Map, Value, value};
use std::{any::type_name, fmt::Display};

/// The distance between the first lives of two nodes: more lives than any run has.
const DISTANCE: u64 = 1_000_000_007;

/// A part of a machine, with every process in it moved.
///
/// # Errors
/// If it cannot be written as JSON, or read back.
pub(crate) fn moved<T: Serialize + DeserializeOwned>(part: &T) -> Result<T, Error> {
    serde_json::from_value(moved_value(part)?)
}

/// A part of a machine as a plain value, with every process in it moved.
///
/// # Errors
/// If it cannot be written as JSON.
pub(crate) fn moved_value(part: &(impl Serialize + ?Sized)) -> Result<Value, Error> {
    part.serialize(Mover)
}

/// True if two values are the same, but for numbers of lives: a machine may keep one apart from its node.
pub(crate) fn is_same(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Number(life), Value::Number(other)) => {
            let moved =
                other.as_u64().zip(life.as_u64()).and_then(|(other, life)| other.checked_sub(life));
            life == other || moved.is_some_and(|by| by.is_multiple_of(DISTANCE))
        }
        (Value::Array(expected), Value::Array(found)) => {
            expected.len() == found.len()
                && expected.iter().zip(found).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(expected), Value::Object(found)) => {
            let same =
                |((name, one), (other_name, other)): ((&String, &Value), (&String, &Value))| {
                    name == other_name && is_same(one, other)
                };
            expected.len() == found.len() && expected.iter().zip(found).all(same)
        }
        _ => expected == found,
    }
}

/// A process, moved.
pub(crate) fn moved_address(Address { node, life }: Address) -> Address {
    Address { node, life: DISTANCE * (u64::from(node.0) + 1) + life }
}

/// Writes JSON values, and moves processes. Processes and peers are written by their `Display`, so the type of what is
/// written so tells them from names of nodes and from other texts.
#[derive(Clone, Copy)]
struct Mover;

/// Parts that are written one after the other, as the content of a variant or for themselves.
struct Items {
    variant: Option<&'static str>,
    items: Vec<Value>,
}

/// Parts with names, as the content of a variant or for themselves.
struct Fields {
    variant: Option<&'static str>,
    entries: Map<String, Value>,
    /// The last key of a map.
    key: String,
}

impl Items {
    fn new(variant: Option<&'static str>) -> Self {
        Self { variant, items: vec![] }
    }

    fn add(&mut self, part: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        self.items.push(moved_value(part)?);
        Ok(())
    }

    fn done(self) -> Value {
        of_variant(self.variant, self.items.into())
    }
}

impl Fields {
    fn new(variant: Option<&'static str>) -> Self {
        Self { variant, entries: Map::new(), key: String::new() }
    }

    fn add(&mut self, name: &str, part: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        self.entries.insert(name.into(), moved_value(part)?);
        Ok(())
    }

    fn done(self) -> Value {
        of_variant(self.variant, self.entries.into())
    }
}

fn of_variant(variant: Option<&'static str>, content: Value) -> Value {
    match variant {
        Some(name) => Value::Object([(name.into(), content)].into_iter().collect()),
        None => content,
    }
}

/// Values without a process are written as `serde_json` writes them.
macro_rules! unmoved {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        fn $method(self, $($name: $type),*) -> Result<Value, Error> {
            value::Serializer.$method($($name),*)
        }
    )*};
}

impl Serializer for Mover {
    type Ok = Value;
    type Error = Error;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<Value, Error> {
        let text = value.to_string();
        let is = |name: &str| type_name::<T>() == name;
        Ok(Value::String(if is(type_name::<Address>()) {
            moved_address(text.parse().map_err(Error::custom)?).to_string()
        } else if is(type_name::<Peer>()) {
            match text.parse().map_err(Error::custom)? {
                Peer::Process(process) => Peer::Process(moved_address(process)).to_string(),
                Peer::Name(_) => text,
            }
        } else {
            text
        }))
    }

    unmoved! {
        serialize_bool(v: bool)
        serialize_i8(v: i8)
        serialize_i16(v: i16)
        serialize_i32(v: i32)
        serialize_i64(v: i64)
        serialize_u8(v: u8)
        serialize_u16(v: u16)
        serialize_u32(v: u32)
        serialize_u64(v: u64)
        serialize_f32(v: f32)
        serialize_f64(v: f64)
        serialize_char(v: char)
        serialize_str(v: &str)
        serialize_bytes(v: &[u8])
        serialize_none()
        serialize_unit()
        serialize_unit_struct(name: &'static str)
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, part: &T) -> Result<Value, Error> {
        moved_value(part)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        part: &T,
    ) -> Result<Value, Error> {
        moved_value(part)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        part: &T,
    ) -> Result<Value, Error> {
        Ok(of_variant(Some(variant), moved_value(part)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items, Error> {
        Ok(Items::new(None))
    }

    fn serialize_tuple(self, _: usize) -> Result<Items, Error> {
        Ok(Items::new(None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items, Error> {
        Ok(Items::new(None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items, Error> {
        Ok(Items::new(Some(variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields, Error> {
        Ok(Fields::new(None))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields, Error> {
        Ok(Fields::new(None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields, Error> {
        Ok(Fields::new(Some(variant)))
    }
}

/// The traits of lists differ in the name of one method.
macro_rules! items {
    ($($list:ident::$method:ident)*) => {$(
        impl $list for Items {
            type Ok = Value;
            type Error = Error;
            fn $method<T: Serialize + ?Sized>(&mut self, part: &T) -> Result<(), Error> {
                self.add(part)
            }
            fn end(self) -> Result<Value, Error> {
                Ok(self.done())
            }
        }
    )*};
}

items! {
    SerializeSeq::serialize_element
    SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field
    SerializeTupleVariant::serialize_field
}

macro_rules! fields {
    ($($list:ident)*) => {$(
        impl $list for Fields {
            type Ok = Value;
            type Error = Error;
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                part: &T,
            ) -> Result<(), Error> {
                self.add(name, part)
            }
            fn end(self) -> Result<Value, Error> {
                Ok(self.done())
            }
        }
    )*};
}

fields! { SerializeStruct SerializeStructVariant }

impl SerializeMap for Fields {
    type Ok = Value;
    type Error = Error;

    /// Keys of JSON are texts.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.key = match moved_value(key)? {
            Value::String(text) => text,
            number @ (Value::Number(_) | Value::Bool(_)) => number.to_string(),
            other => return Err(Error::custom(format!("{other} is no key of a JSON object"))),
        };
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, part: &T) -> Result<(), Error> {
        let key = std::mem::take(&mut self.key);
        self.add(&key, part)
    }

    fn end(self) -> Result<Value, Error> {
        Ok(self.done())
    }
}
