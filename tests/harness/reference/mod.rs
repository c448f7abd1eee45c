//! Plain explicit-state models, written from SEMANTICS.md, PROTOCOLS.md and the documentation by somebody who had not seen
//! those in `src/` and `models/`, and kept apart from them on purpose. They share no code with each
//! other either.

pub mod gen_leader;
pub mod gms3;
pub mod group;
