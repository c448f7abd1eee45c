//! Leader election and group membership as pure state machines: what is model-checked is what runs.
//!
//! placeholder
pub mod gms3;
pub mod machine;
