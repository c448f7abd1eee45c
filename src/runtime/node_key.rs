//! Keys of nodes: each node proves which one it is.

use super::key::{KeyError, decode, encode, file_error, random, read_secret, write_new_secret};
use crate::machine::NodeId;
use snow::{
    params::DHChoice,
    resolvers::{CryptoResolver, DefaultResolver},
};
use std::{collections::BTreeMap, fmt, fs::File, io::Read, path::Path, str::FromStr};

/// The secret key of one node: 32 random bytes (X25519). As text, they are base64.
///
/// There is no `Display`, and `Debug` hides the bytes, so that a key does not get into a log by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeKey([u8; 32]);

/// Stands before the key in its file, so that it is not taken for the key of the cluster.
const PREFIX: &str = "node-key:";

/// The public key of one node. It is no secret. As text, it is base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub(super) [u8; 32]);

/// The secret key of a node, and the public keys of all nodes, this one too.
///
/// # What each kind of key protects
///
/// * **The key of the cluster alone** keeps strangers out, and nobody else can read or change what the nodes say. But whoever
///   has it can pass for any node: one host that is broken into is enough.
/// * **Keys of nodes on top** also keep the nodes apart: a node is accepted as n1 only if it has the secret key that belongs
///   to the public key listed for n1. Whoever breaks into one host can pass for that node, and for no other. (There is no
///   protection against a node that lies in its messages.)
///
/// Each connection is encrypted with keys of its own, which are forgotten when it ends. So whoever records connections and
/// gets all keys later cannot read them: that is *forward secrecy*, with both kinds.
///
/// # To change a key
///
/// * The key of a node, for one that has lost it or whose host was broken into: make a new one, list its public key at all
///   nodes, and restart them one after the other. Until a node has the new list, it refuses the node with the new key.
/// * The key of the cluster: shut down all nodes, replace the file at each, start them again. Nodes with different ones do
///   not connect.
///
/// # Example
///
/// ```
/// use interrex::{machine::NodeId, runtime::{ClusterKey, Config, NodeKey, NodeKeys}};
///
/// let own = [0, 1].map(|_| NodeKey::generate());
/// let [first, second] = own;
/// let (first, second) = (first?, second?);
/// let public = [(NodeId(0), first.public()), (NodeId(1), second.public())];
/// let peers = [0, 1].map(|node| (NodeId(node), format!("10.0.0.{node}:7000")));
/// let mut config = Config::new(NodeId(0), "0.0.0.0:7000", peers, ClusterKey::generate()?, "group");
/// config.keys = Some(NodeKeys::new(first, public));
/// # Ok::<(), interrex::runtime::KeyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct NodeKeys {
    own: NodeKey,
    listed: BTreeMap<NodeId, PublicKey>,
}

impl NodeKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`KeyError::Random`] if the system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self(random()?))
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut public = [0; 32];
        // Always there: it is one of the features of `snow` that this crate asks for.
        if let Some(mut curve) = DefaultResolver.resolve_dh(&DHChoice::Curve25519) {
            curve.set(&self.0);
            public.copy_from_slice(curve.pubkey());
        }
        PublicKey(public)
    }

    /// Reads the key in a file, as [`ClusterKey::read`](super::ClusterKey::read) does.
    ///
    /// # Errors
    /// [`KeyError::File`] if the file cannot be read, [`KeyError::NoKey`] if it does not contain a key.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        read_secret(path.as_ref(), PREFIX).map(Self)
    }

    /// Writes the key to a new file, which only its owner may read, and syncs it.
    ///
    /// # Errors
    /// [`KeyError::Exists`] if the file exists, [`KeyError::File`] if it cannot be written.
    pub fn write_new(&self, path: impl AsRef<Path>) -> Result<(), KeyError> {
        write_new_secret(path.as_ref(), &format!("{PREFIX}{}", encode(&self.0)))
    }
}

/// Hides the key: logs have many readers.
impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(…)")
    }
}

/// Parses base64 of 32 bytes. White space around it is ignored.
impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        decode(text).map(Self)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(&self.0))
    }
}

impl NodeKeys {
    /// The secret key of this node, and the public keys of all nodes.
    #[must_use]
    pub fn new(own: NodeKey, listed: impl IntoIterator<Item = (NodeId, PublicKey)>) -> Self {
        Self { own, listed: listed.into_iter().collect() }
    }

    /// Reads both files. The list has a line for each node, `n0=` and its public key. Empty lines and lines that begin with
    /// `#` are ignored.
    ///
    /// # Errors
    /// Those of [`NodeKey::read`]; [`KeyError::File`] if the list cannot be read, [`KeyError::Line`] if a line of it is
    /// wrong.
    pub fn read(own: impl AsRef<Path>, list: impl AsRef<Path>) -> Result<Self, KeyError> {
        let own = NodeKey::read(own)?;
        let list = list.as_ref();
        let mut text = String::new();
        let opened = File::open(list).map_err(file_error(list))?;
        opened.take(MOST_BYTES).read_to_string(&mut text).map_err(file_error(list))?;
        let mut listed = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |problem| KeyError::Line { path: list.to_path_buf(), number, problem };
            let (node, key) = parse_line(line).map_err(wrong)?;
            if listed.insert(node, key).is_some() {
                return Err(wrong(format!("{node} is listed twice")));
            }
        }
        Ok(Self { own, listed })
    }

    /// The public key of this node, as it follows from the secret one.
    pub(super) fn public(&self) -> PublicKey {
        self.own.public()
    }

    pub(super) fn secret(&self) -> &[u8; 32] {
        &self.own.0
    }

    /// The public key of a node.
    pub(super) fn of(&self, node: NodeId) -> Option<&PublicKey> {
        self.listed.get(&node)
    }

    /// Whether a node has this public key.
    pub(super) fn are(&self, node: NodeId, key: Option<&[u8]>) -> bool {
        self.of(node).is_some_and(|listed| key == Some(&listed.0[..]))
    }
}

/// The error does not repeat the line: the file may be one with a secret key.
fn parse_line(line: &str) -> Result<(NodeId, PublicKey), String> {
    let parsed = line
        .split_once('=')
        .and_then(|(node, key)| Some((node.trim().parse().ok()?, key.parse().ok()?)));
    parsed.ok_or_else(|| "expected NODE=KEY, as `interrex key --node` prints it".into())
}

/// The most bytes of a list that are read: more nodes than there can be.
const MOST_BYTES: u64 = 1 << 24;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::ClusterKey;

    /// The first test vector of RFC 7748, section 6.1.
    #[test]
    fn the_public_key_is_that_of_x25519() -> Result<(), KeyError> {
        let secret: PublicKey = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=".parse()?;
        let public = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
        assert_eq!(NodeKey(secret.0).public().to_string(), public);
        Ok(())
    }

    #[test]
    fn the_key_of_a_node_is_not_taken_for_that_of_the_cluster()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let [own, shared] = ["own", "shared"].map(|name| folder.path().join(name));
        let key = NodeKey::generate()?;
        key.write_new(&own)?;
        ClusterKey::generate()?.write_new(&shared)?;
        assert!(NodeKey::read(&own)? == key);
        assert!(matches!(ClusterKey::read(&own), Err(KeyError::NoKey(_))));
        assert!(matches!(NodeKey::read(&shared), Err(KeyError::NoKey(_))));
        Ok(())
    }

    #[test]
    fn a_list_with_a_wrong_line_is_refused_with_its_number()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (own, list) = (folder.path().join("own"), folder.path().join("list"));
        let key = NodeKey::generate()?;
        key.write_new(&own)?;
        let public = key.public();
        let read = |text: String| {
            std::fs::write(&list, text).map_err(file_error(&list))?;
            NodeKeys::read(&own, &list)
        };
        let keys = read(format!("# of this test\n\nn0={public}\n n1 = {public}\n"))?;
        assert!(keys.are(NodeId(1), Some(&public.0)) && !keys.are(NodeId(2), Some(&public.0)));
        for (line, problem) in [
            ("n0 hello".into(), "expected NODE=KEY"),
            (format!("x0={public}"), "expected NODE=KEY"),
            ("n0=hello".into(), "expected NODE=KEY"),
            // The secret key itself, by mistake.
            (encode(&key.0), "expected NODE=KEY"),
            (format!("n1={public}"), "n1 is listed twice"),
        ] {
            let refused = read(format!("n1={public}\n{line}\n")).map_err(|error| error.to_string());
            let refused = refused.err().unwrap_or_default();
            assert!(refused.contains("list:2: ") && refused.contains(problem), "{line}: {refused}");
            assert!(!refused.contains(&line[3..]), "{refused} repeats the line");
        }
        Ok(())
    }
}
