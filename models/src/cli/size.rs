//! Amounts of memory on the command line.

use std::num::NonZeroU64;

/// A number of megabytes or gigabytes: `500MB`, `4GB`.
pub(super) fn parse_size(text: &str) -> Result<NonZeroU64, String> {
    let units = [("MB", 1_000_000), ("GB", 1_000_000_000)];
    let bytes = units.into_iter().find_map(|(unit, bytes)| {
        let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        NonZeroU64::new(number.checked_mul(bytes)?)
    });
    bytes.ok_or_else(|| "expected a size above 0, as in 500MB or 4GB".into())
}
