//! What is expected of a protocol, and how what was found compares with it.

pub mod check;
pub mod matrix;
pub mod outcome;
pub mod report;
pub mod row;
pub mod scenario;
