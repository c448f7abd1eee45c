//! Portable digests: 64 bits that stand for a content and are the same on every machine.
//!
//! The content's JSON is digested, the form that traces have. It holds no pointer, no handle, no size of an
//! integer and no seed of a hash table. Two different contents have the same digest with a probability of
//! 2⁻⁶⁴.

use serde::Serialize;
use smallvec::SmallVec;
use twox_hash::XxHash3_64;

/// The digest of a part of a machine, or of several.
///
/// ```
/// use interrex_models::model::digest::digest;
///
/// assert_eq!(digest(&["n1", "n2"]), 0x02bd_07cc_df60_6c57);
/// ```
///
/// # Panics
/// If it cannot be written as JSON; the parts of a machine can.
pub fn digest(part: &(impl Serialize + ?Sized)) -> u64 {
    let json = serde_json::to_vec(part).expect("a part of a machine is JSON");
    XxHash3_64::oneshot(&json)
}

/// The digest of a sequence of digests.
#[must_use]
pub fn combine(digests: &[u64]) -> u64 {
    let mut bytes = SmallVec::<[u8; 256]>::new();
    for digest in digests {
        bytes.extend_from_slice(&digest.to_le_bytes());
    }
    XxHash3_64::oneshot(&bytes)
}
