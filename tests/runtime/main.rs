//! The runtime by itself: nodes on loopback, their ends, their storage, and what unauthenticated connections can do.

#![cfg(feature = "runtime")]

mod attack;
mod embedded;
mod endings;
mod hostile;
mod storage;
