//! `interrex key`.

use super::{Command, Exit, Failure, STRONG, shown, styled};
use interrex::{
    machine::NodeId,
    runtime::{ClusterKey, KeyError, NodeKey},
};
use std::{io::Write, path::PathBuf};

/// Make the key of a cluster, or the key of a node
///
/// With the key of the cluster a node may join, and without it nobody can read
/// what the nodes say to each other. The file is readable for its owner only.
/// An existing one is not overwritten.
///
/// But a process with it can pass for any node. With keys of nodes on top, each
/// proves which one it is: so one host that is broken into cannot speak for the
/// others. Each node has a secret key, and all have the list of the public ones.
/// On each host make the key of its node, and then put the lines together:
///
///   interrex key --node n0 n0.key >> nodes.keys
///   interrex node --id n0 --node-key n0.key --public-keys nodes.keys …
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_help = super::exit_codes! {
    "0    the file is made, or read"
    "2    it cannot be made or read, or already exists"
})]
pub(super) struct Key {
    /// The file to make
    file: PathBuf,
    /// Make the secret key of this node, and print its line of the list of public keys
    #[arg(long, value_name = "NODE")]
    node: Option<NodeId>,
    /// With --node: make nothing, print the line for the secret key in the file
    #[arg(long, requires = "node")]
    public: bool,
}

impl Key {
    pub(super) fn run(&self, of: &Command) -> Result<Exit, Failure> {
        if self.file.is_dir() {
            let (folder, file) = (self.file.display(), self.file.join("cluster.key"));
            return Err(Failure::Usage(format!(
                "{folder}: is a folder; name the file to make, as {}",
                shown(&file)
            )));
        }
        let made = match self.node {
            Some(node) => self.node(node),
            None => ClusterKey::generate().and_then(|key| key.write_new(&self.file)),
        };
        made.map_err(|error| Failure::Usage(error.to_string()))?;
        if self.node.is_none() {
            self.explain(of)?;
        }
        Ok(Exit::AsExpected)
    }

    /// Makes the key of a node, or reads it, and prints its public key.
    fn node(&self, node: NodeId) -> Result<(), KeyError> {
        let key = if self.public { NodeKey::read(&self.file)? } else { NodeKey::generate()? };
        if !self.public {
            key.write_new(&self.file)?;
        }
        anstream::println!("{node}={}", key.public());
        Ok(())
    }

    fn explain(&self, of: &Command) -> Result<(), Failure> {
        let program = of.name;
        let mut out = anstream::stdout().lock();
        let file = shown(&self.file);
        writeln!(out, "{} is the key of a cluster", styled(STRONG, &file))?;
        writeln!(out, "  copy it to the host of each node, over a secure channel")?;
        writeln!(out, "  then, for each node: {program} node --id n0 --peers n0=…,n1=… \\")?;
        writeln!(out, "    --key-file {file} --data-dir n0.data")?;
        let all = of.registry.all().iter();
        let groups: Vec<_> =
            all.filter(|it| it.joins_through_contact()).map(|it| it.name()).collect();
        if !groups.is_empty() {
            let groups = groups.join(", ");
            writeln!(out, "  in a group ({groups}) the first node also needs")?;
            writeln!(out, "  --found, and each other one --contact n0")?;
        }
        Ok(())
    }
}
