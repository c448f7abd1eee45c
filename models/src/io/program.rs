//! The program that runs.

use super::binary;
use std::{env, fs::File, io, sync::OnceLock};

/// The digest of the program's file. Other code has another one.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn digest() -> io::Result<u64> {
    static DIGEST: OnceLock<u64> = OnceLock::new();
    if let Some(known) = DIGEST.get() {
        return Ok(*known);
    }
    let digest = binary::digest(&mut File::open(env::current_exe()?)?)?;
    Ok(*DIGEST.get_or_init(|| digest))
}
