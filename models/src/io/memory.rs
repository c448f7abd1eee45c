//! The memory that the process holds, on systems that report it (Linux does).

use std::fs;

/// The largest resident size since [`forget_peak`], in bytes.
pub(crate) fn peak() -> Option<u64> {
    of_status("VmHWM:")
}

/// The resident size, in bytes.
pub(crate) fn now() -> Option<u64> {
    of_status("VmRSS:")
}

fn of_status(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Begins a new measurement.
pub(crate) fn forget_peak() {
    // Without this, the peak is that of the whole process: an upper bound.
    let _ = fs::write("/proc/self/clear_refs", "5");
}
