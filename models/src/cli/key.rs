//! `interrex key`.

use super::{Exit, Failure, STRONG, shown, styled};
use interrex::runtime::ClusterKey;
use std::{io::Write, path::PathBuf};

/// Make a key for a cluster
///
/// Whoever has the key may join, and nobody else can read what the nodes say to each other. The file is readable
/// for its owner only. An existing one is not overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit_codes! {
    "0    the file is made"
    "2    it cannot be made, or already exists"
})]
pub(super) struct Key {
    /// The file to make
    file: PathBuf,
}

impl Key {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        if self.file.is_dir() {
            let (folder, file) = (self.file.display(), self.file.join("cluster.key"));
            return Err(Failure::Usage(format!(
                "{folder}: is a folder; name the file to make, as {}",
                shown(&file)
            )));
        }
        let key = ClusterKey::generate().map_err(|error| Failure::Usage(error.to_string()))?;
        key.write_new(&self.file).map_err(|error| Failure::Usage(error.to_string()))?;
        let mut out = anstream::stdout().lock();
        let file = shown(&self.file);
        writeln!(out, "{} is the key of a cluster", styled(STRONG, &file))?;
        writeln!(
            out,
            "  copy it to the host of each node, over a channel that nobody reads along"
        )?;
        writeln!(
            out,
            "  then: interrex node --key-file {file} --peers n0=…,n1=… --id n0 --data-dir n0.data --found\n  \
             and the others: --id n1 --data-dir n1.data --contact n0"
        )?;
        Ok(Exit::AsExpected)
    }
}
