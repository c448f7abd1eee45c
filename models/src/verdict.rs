//! Verdicts: what is expected of a protocol, what was found, and the comparison of the two.

pub mod change;
pub mod check;
pub mod drawn;
pub mod harness;
pub mod matrix;
pub mod outcome;
pub mod pins;
pub mod report;
pub mod row;
pub mod scenario;
