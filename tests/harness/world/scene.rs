//! A machine that does what its script says, and the language of scripts and actions.

use interrex::machine::{Address, Boot, Effect, EffectOf, Event, EventOf, Machine, NodeId};
use interrex_models::{
    claim::property::{Kind, Property},
    model::{
        action::{Action, ActionOf, Choice, Side},
        environment::{Bound, Budget, Budgets, Environment, Start, Storage, Timers, Times},
        node::{Condition, Node},
        world::{Rules, World},
    },
    protocol::{Notion, Protocol, Standing},
};
use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr, sync::Arc, time::Duration};

/// A machine that does what its script says, for each node and event; an event that is not in the
/// script it observes. Its state is its own address, and the last event that it met. It never knows a
/// leader.
#[derive(Clone)]
pub(crate) struct Puppet {
    pub(crate) script: BTreeMap<String, Vec<EffectOf<Puppet>>>,
    pub(crate) through_contact: bool,
    /// The number of nodes that must be up, and have handled an event, before there can be a leader.
    pub(crate) quorum: usize,
}

type State = (Address, String);

impl Puppet {
    fn react(&self, me: Address, event: String) -> (State, Vec<EffectOf<Self>>) {
        let key = format!("{me} {event}");
        let observed = || vec![Effect::Observe(key.clone())];
        let effects = self.script.get(&key).cloned().unwrap_or_else(observed);
        ((me, event), effects)
    }
}

impl Machine for Puppet {
    type State = State;
    type Message = String;
    type Command = u32;
    type Timer = u8;
    type Stable = String;
    type Observation = String;

    fn start(&self, boot: Boot<String>) -> (State, Vec<EffectOf<Self>>) {
        let contact = boot.contact.map(|contact| format!(" {contact}")).unwrap_or_default();
        let stable = boot.stable.map(|stable| format!(" with {stable}")).unwrap_or_default();
        self.react(boot.me, format!("start{contact}{stable}"))
    }

    fn step(&self, (me, _): State, event: EventOf<Self>) -> (State, Vec<EffectOf<Self>>) {
        self.react(me, text(&event))
    }
}

impl Protocol for Puppet {
    fn name(&self) -> Cow<'static, str> {
        "puppet".into()
    }

    fn summary(&self) -> Cow<'static, str> {
        "does what it is told".into()
    }

    fn properties(&self) -> &'static [&'static Property] {
        &[]
    }

    fn starts(&self) -> &'static [Start] {
        &[Start::Joined, Start::Joining, Start::Idle]
    }

    fn joins_through_contact(&self) -> bool {
        self.through_contact
    }

    fn has_workers(&self) -> bool {
        true
    }

    fn measure(&self) -> Option<&'static str> {
        Some("letters")
    }

    fn measured(&self, (_, last): &State) -> u64 {
        last.len() as u64
    }

    fn command(&self, node: NodeId, issued: u32) -> Option<u32> {
        self.script.contains_key(&format!("{node} command {issued}")).then_some(issued)
    }

    fn joined(&self, size: u16) -> Option<Vec<Node<Self>>> {
        let up = |id| Condition::Up((NodeId::first_life(id), String::new()));
        Some((0..size).map(NodeId).map(|id| Node { condition: up(id), ..Node::idle(id) }).collect())
    }

    fn can_lead(&self, up: &[(NodeId, &State)]) -> bool {
        let asked = up.iter().filter(|(_, (_, last))| !last.is_empty());
        !up.is_empty() && asked.count() >= self.quorum
    }

    fn standing(&self, _: &State) -> Standing {
        Standing::Seeking
    }

    fn notion(&self, _: &String) -> Notion {
        Notion::Unremarked
    }
}

/// An event, as scripts and histories name it.
fn text(event: &EventOf<Puppet>) -> String {
    match event {
        Event::Message { from, message } => format!("{message} from {from}"),
        Event::Down(peer) => format!("down {peer}"),
        Event::Timeout(timer) => format!("timeout {timer}"),
        Event::Command(index) => format!("command {index}"),
    }
}

fn effect(text: &str) -> EffectOf<Puppet> {
    match text.split_whitespace().collect::<Vec<_>>()[..] {
        ["send", to, message] => Effect::Send { to: parse(to), message: message.into() },
        ["monitor", peer] => Effect::Monitor(parse(peer)),
        ["demonitor", peer] => Effect::Demonitor(parse(peer)),
        ["set", timer] => Effect::SetTimer { timer: parse(timer), after: Duration::ZERO },
        ["cancel", timer] => Effect::CancelTimer(parse(timer)),
        ["persist", stable] => Effect::Persist(stable.into()),
        ["say", what] => Effect::Observe(what.into()),
        ["stop"] => Effect::Stop("stop".into()),
        ["end"] => Effect::Stop("another reason".into()),
        _ => panic!("`{text}` is not an effect"),
    }
}

/// `command n1`, or `command n1 crash after 2`: with a crash after its second effect.
pub(crate) fn action(text: &str) -> ActionOf<Puppet> {
    let choice = text.split_once(" crash after ");
    let (choice, k) = choice.map_or((text, None), |(text, k)| (text, Some(k)));
    let choice = match choice.split_whitespace().collect::<Vec<_>>()[..] {
        ["start", node] => Choice::Start { node: parse(node), contact: None },
        ["start", node, contact] => {
            Choice::Start { node: parse(node), contact: Some(parse(contact)) }
        }
        ["restart", node] => Choice::Restart { node: parse(node), contact: None },
        ["restart", node, contact] => {
            Choice::Restart { node: parse(node), contact: Some(parse(contact)) }
        }
        ["command", node] => Choice::Command { node: parse(node) },
        ["deliver", from, to] => Choice::Deliver { from: parse(from), to: parse(to) },
        ["timeout", node, timer] => Choice::Timeout { node: parse(node), timer: parse(timer) },
        ["crash", node] => Choice::Crash { node: parse(node) },
        ["drop", from, to] => Choice::Drop { from: parse(from), to: parse(to) },
        ["duplicate", from, to] => Choice::Duplicate { from: parse(from), to: parse(to) },
        ["overtake", from, to] => Choice::Overtake { from: parse(from), to: parse(to) },
        ["suspect", watcher, target] => {
            Choice::Suspect { watcher: parse(watcher), target: parse(target) }
        }
        ["cut", ref nodes @ ..] => {
            let nodes: Vec<NodeId> = nodes.iter().map(|node| parse(node)).collect();
            Choice::Cut { side: Side::try_from(nodes).expect(text) }
        }
        ["heal"] => Choice::Heal,
        _ => panic!("`{text}` is not an action"),
    };
    Action { choice, crash_after: k.map(parse) }
}

fn parse<T: FromStr<Err: fmt::Debug>>(text: &str) -> T {
    text.parse().expect(text)
}

/// The items of a list, between commas.
pub(crate) fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

pub(crate) fn listed<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// A world under its rules.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) rules: Arc<Rules<Puppet>>,
    pub(crate) world: World,
}

/// The first world of an environment. What it does not say: late timers, 9 starts, commands, timeouts and
/// crashes and no other faults, stable storage that is kept, and nodes that join through a contact,
/// unless they begin idle.
pub(crate) fn begin(environment: &str, script: &str) -> Scene {
    let usual = [Budget::Starts, Budget::Commands, Budget::Timeouts, Budget::Crashes];
    let budgets = Budgets::from(BTreeMap::from(usual.map(|budget| (budget, 9))));
    let mut setting = Environment {
        nodes: 0,
        workers: 0,
        start: Start::Joined,
        timers: Timers::Late,
        storage: Storage::Kept,
        budgets,
        bound: None,
    };
    let (mut through_contact, mut quorum) = (true, 0);
    for item in items(environment) {
        let (what, value) = item.split_once(' ').expect("a name and a value");
        match what {
            "joined" => setting.nodes = parse(value),
            "joining" => (setting.start, setting.nodes) = (Start::Joining, parse(value)),
            "idle" => {
                (setting.start, setting.nodes) = (Start::Idle, parse(value));
                through_contact = false;
            }
            "workers" => setting.workers = parse(value),
            "quorum" => quorum = parse(value),
            "contact" => through_contact = value == "any",
            "storage" => setting.storage = Storage::Lost,
            "letters" => {
                setting.bound = Some(Bound { measure: what.into(), most: parse(value) });
            }
            "timers" => setting.timers = if value == "any" { Timers::Any } else { Timers::Late },
            _ => {
                let named = Budget::ALL.into_iter().find(|budget| budget.to_string() == what);
                setting.budgets[named.expect(what)] = parse::<Times>(value).0;
            }
        }
    }
    let rows = script.split('|').filter_map(|row| row.trim().split_once(':'));
    let effects = |(event, does): (&str, &str)| (event.into(), items(does).map(effect).collect());
    let puppet = Puppet { script: rows.map(effects).collect(), through_contact, quorum };
    let rules = Rules::new(puppet, setting);
    Scene { world: rules.initial(), rules: Arc::new(rules) }
}

/// The content of a part of a node.
macro_rules! of_node {
    ($($part:ident)*) => {$(
        pub(crate) fn $part(&self, node: u16) -> String {
            listed(&self.node(node).$part)
        }
    )*};
}

impl Scene {
    pub(crate) fn after(&self, actions: &str) -> Self {
        items(actions).fold(self.clone(), |scene, text| scene.take(&action(text)))
    }

    pub(crate) fn take(&self, action: &ActionOf<Puppet>) -> Self {
        let found = self.rules.find(&self.world, action);
        let enabled = found.unwrap_or_else(|why| panic!("{action}: {why}"));
        Self { world: self.rules.follow(&self.world, &enabled), ..self.clone() }
    }

    pub(crate) fn enabled(&self) -> Vec<ActionOf<Puppet>> {
        let mut enabled = vec![];
        self.rules.enabled(&self.world, &mut enabled);
        enabled.into_iter().map(|enabled| enabled.action).collect()
    }

    /// Why an action is not possible.
    pub(crate) fn reason(&self, text: &str) -> String {
        self.rules.find(&self.world, &action(text)).expect_err(text)
    }

    pub(crate) fn can(&self, text: &str) -> bool {
        self.enabled().contains(&action(text))
    }

    /// Behind how many of its effects an action can be cut short.
    pub(crate) fn cuts(&self, text: &str) -> String {
        let cut = self.enabled().into_iter().filter(|cut| cut.choice == action(text).choice);
        listed(cut.filter_map(|cut| cut.crash_after))
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.rules.is_settled(&self.world)
    }

    /// The nodes that a property of this kind judges; none if the world is not judged.
    pub(crate) fn judged(&self, kind: Kind) -> String {
        let judged = self.rules.judged(&self.world, kind);
        judged.map_or("not judged".into(), |judged| {
            listed(
                self.rules
                    .profiles(&self.world, judged)
                    .map(|profile| self.rules.profile(profile).me.node),
            )
        })
    }

    /// The budgets that actions spend.
    pub(crate) fn cost(&self, actions: &str) -> String {
        let after = self.after(actions);
        let (before, after) = (self.rules.budgets(&self.world), after.rules.budgets(&after.world));
        let spent = Budget::ALL.map(|budget| (budget, before[budget] - after[budget]));
        let spent = spent.into_iter().filter(|(_, times)| *times > 0);
        listed(spent.map(|(budget, times)| format!("{budget} {times}")))
    }

    pub(crate) fn node(&self, node: u16) -> &Node<Puppet> {
        self.rules.node(&self.world, NodeId(node))
    }

    pub(crate) fn condition(&self, node: u16) -> String {
        format!("{:?}", self.node(node).condition)
    }

    of_node! { history stable timers monitors }

    pub(crate) fn link(&self, from: u16, to: u16) -> String {
        listed(self.rules.signals(&self.world, NodeId(from), NodeId(to)).into_iter().map(text))
    }
}
