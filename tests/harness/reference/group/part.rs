//! What processes say, keep and report: the nouns of the text.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub u8);

/// A node in one life of it. Members are named by the address of their first life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    pub node: Node,
    pub life: u8,
}

/// Whoever lives at a node, or one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    Name(Node),
    Process(Address),
}

impl Peer {
    pub fn node(self) -> Node {
        match self {
            Peer::Name(node) | Peer::Process(Address { node, .. }) => node,
        }
    }
}

/// "A higher counter is a later term; of equal counters, the term of the greater owner is later."
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    pub counter: u8,
    pub owner: Address,
}

/// "Of two logs the one is better whose last entry has the later term; of equal terms the longer one."
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub term: Option<Term>,
    pub number: usize,
}

/// The i-th message that the application at a node sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub Node, pub u8);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Multicast {
    pub origin: Address,
    pub sequence: u8,
    pub message: Token,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    View(Vec<Address>),
    Multicast(Multicast),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    pub term: Term,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    pub after: Position,
    pub entries: Vec<Entry>,
}

impl Part {
    pub fn last(&self) -> Position {
        let term = self.entries.last().map_or(self.after.term, |entry| Some(entry.term));
        Position { term, number: self.after.number + self.entries.len() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    pub number: usize,
    pub term: Term,
    pub members: Vec<Address>,
}

/// The next multicast of each node.
pub type Next = BTreeMap<Node, (Address, u8)>;

/// The sum of the committed entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Summary {
    pub number: usize,
    /// The member that founded the group.
    pub group: Option<Address>,
    pub view: Option<View>,
    /// The last member of each node.
    pub known: BTreeMap<Node, Address>,
    pub next: Next,
    pub application: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    pub group: Option<Address>,
    pub message: Message,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    Prepare { term: Term, committed: Position, held: Position },
    Promise { term: Term, member: Address, last: Position, part: Part },
    Refuse { term: Term },
    Append { term: Term, part: Part, committed: usize },
    Ack { term: Term, member: Address, number: usize },
    Ask { member: Address, committed: Position },
    Now,
    Forward(Multicast),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Observation {
    Started(Address),
    Elected(Term),
    Deposed,
    Installed(View),
    Delivered { number: usize, origin: Address, sequence: u8, message: Token },
    Replied { tag: u8 },
    Failed { tag: u8 },
}

/// What stable storage holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stable {
    pub member: Address,
    pub term: Term,
    pub log: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Other {
    pub member: Address,
    pub held: usize,
    pub joins: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Seeking { told: BTreeSet<Address> },
    Promised { to: Option<Address> },
    Following { leader: Address, matched: usize },
    Candidate { promised: BTreeSet<Address>, invited: BTreeSet<Node> },
    Leading { others: BTreeMap<Node, Other>, next: Next },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub me: Address,
    pub member: Address,
    pub term: Term,
    pub log: Vec<Entry>,
    pub contact: Option<Node>,
    pub counted: Summary,
    pub role: Role,
    pub suspected: BTreeSet<Node>,
    pub watched: BTreeSet<Peer>,
    pub issued: u8,
    /// Each with the tag of the client that waits for the reply.
    pub pending: BTreeMap<u8, (u8, Token)>,
    pub waiting: BTreeSet<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    Message {
        from: Address,
        message: Envelope,
    },
    Down(Peer),
    /// The tick.
    Timeout,
    /// A call. Its tag is the number of calls that this node has issued before.
    Command(u8, Token),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    Send { to: Node, message: Envelope },
    Monitor(Peer),
    Demonitor(Peer),
    SetTimer,
    Persist(Stable),
    Observe(Observation),
}
