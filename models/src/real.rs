//! Real nodes: the processes of a cluster on this machine, their output, and the validation of their logs.

pub mod application;
pub mod failover;
pub mod line;
pub mod plain;
pub mod processes;
pub mod validate;
