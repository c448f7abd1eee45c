//! Each property complains of what it forbids, is silent about what it allows, and is witnessed only
//! where it was exercised.

use interrex::machine::{Address, NodeId};
use interrex_models::{
    claim::{
        notion::{Term, Token},
        profile::{Delivery, Former, Presence, Profile},
        property::{self, Group, Property},
    },
    protocol::{Standing, View},
};

fn address(node: u16) -> Address {
    NodeId(node).first_life()
}

fn token(sender: u16, index: u32) -> Token {
    Token { sender: NodeId(sender), index }
}

fn view(number: u64, leader: u16, followers: &[u16]) -> View {
    View {
        number,
        leader: address(leader),
        followers: followers.iter().copied().map(address).collect(),
    }
}

/// A node that has seen nothing.
fn node(id: u16, presence: Presence) -> Profile {
    Profile { presence, ..Profile::idle(address(id)) }
}

fn leading(id: u16) -> Profile {
    node(id, Presence::Up(Standing::Leading))
}

fn following(id: u16, leader: u16) -> Profile {
    node(id, Presence::Up(Standing::Following(address(leader))))
}

fn crashed(id: u16) -> Profile {
    node(id, Presence::Crashed)
}

/// The actions of a node, in order.
trait Does {
    fn sends(self, issued: u32) -> Self;
    fn installs(self, view: View) -> Self;
    fn delivers(self, number: u64, message: Token) -> Self;
    fn rejoins(self) -> Self;
}

impl Does for Profile {
    fn sends(self, issued: u32) -> Self {
        Self { issued, ..self }
    }

    fn installs(mut self, view: View) -> Self {
        self.views.push(view);
        self
    }

    fn delivers(mut self, number: u64, message: Token) -> Self {
        let view = self.views.len().checked_sub(1);
        self.deliveries.push(Delivery { message, number, view });
        self
    }

    fn rejoins(mut self) -> Self {
        self.former.push(Former {
            views: self.views.len(),
            deliveries: self.deliveries.len(),
            restored: None,
        });
        self
    }
}

/// Node 0 has led a group of three and crashed; node 1 has taken over.
fn taken_over() -> [Profile; 3] {
    [
        crashed(0).installs(view(1, 0, &[1, 2])),
        leading(1).installs(view(1, 0, &[1, 2])).installs(view(2, 1, &[2])),
        following(2, 1).installs(view(1, 0, &[1, 2])).installs(view(2, 1, &[2])),
    ]
}

fn complaints(property: &Property, nodes: &[Profile]) -> Vec<String> {
    complaints_of(property, nodes, true)
}

/// The same where the protocol says that no leader can be had.
fn complaints_without_a_leader(property: &Property, nodes: &[Profile]) -> Vec<String> {
    complaints_of(property, nodes, false)
}

fn complaints_of(property: &Property, nodes: &[Profile], can_lead: bool) -> Vec<String> {
    let nodes: Vec<_> = nodes.iter().collect();
    let group = Group { nodes: &nodes, can_lead };
    assert_eq!(property.is_violated(group), !property.complaints(group).is_empty());
    property.complaints(group)
}

fn is_witnessed(property: &Property, nodes: &[Profile]) -> bool {
    property.is_witnessed(&nodes.iter().collect::<Vec<_>>())
}

/// A group in which nothing happened, and one that has got over a crash, are as they should be.
#[test]
fn nothing_complains_of_a_sound_group_and_nothing_is_exercised_where_nothing_happened() {
    let first = view(1, 0, &[1]);
    let quiet = [leading(0).installs(first.clone()), following(1, 0).installs(first)];
    for property in property::ALL {
        assert_eq!(complaints(property, &quiet), [""; 0], "{}", property.name);
        assert_eq!(complaints(property, &taken_over()), [""; 0], "{}", property.name);
        assert!(!is_witnessed(property, &quiet), "{}", property.name);
    }
}

#[test]
fn a_takeover_exercises_leadership() {
    for property in [
        &property::SINGLE_LEADER,
        &property::ONE_LEADER_PER_TERM,
        &property::VIEW_ORDER,
        &property::LEADER_EXISTS,
        &property::AGREEMENT,
        &property::NOBODY_STOPPED,
    ] {
        assert!(is_witnessed(property, &taken_over()), "{}", property.name);
    }
}

#[test]
fn single_leader_forbids_a_second_leader_but_not_a_crashed_one() {
    let two = [leading(0), leading(1), following(2, 0)];
    assert_eq!(complaints(&property::SINGLE_LEADER, &two), ["n0 and n1 both act as leader"]);
    assert!(complaints(&property::SINGLE_LEADER, &[crashed(0), leading(1)]).is_empty());
}

#[test]
fn one_leader_per_term_forbids_two_elections_in_a_term_even_of_the_dead() {
    let nodes = [crashed(0).installs(view(3, 0, &[])), crashed(1).installs(view(3, 1, &[]))];
    let complaint = "n0 and n1 were both leader in term 3";
    assert_eq!(complaints(&property::ONE_LEADER_PER_TERM, &nodes), [complaint]);
}

#[test]
fn view_order_forbids_going_back_and_two_views_of_one_number() {
    let back = [leading(0).installs(view(2, 0, &[])).installs(view(2, 0, &[1]))];
    assert_eq!(
        complaints(&property::VIEW_ORDER, &back),
        ["n0 installed view 2 (n0, [n1]) after view 2 (n0, [])"]
    );
    let differ = [leading(0).installs(view(2, 0, &[1])), crashed(1).installs(view(2, 0, &[]))];
    assert_eq!(
        complaints(&property::VIEW_ORDER, &differ),
        ["n0 installed view 2 (n0, [n1]), and n1 view 2 (n0, [])"]
    );
}

#[test]
fn who_led_in_an_earlier_life_was_elected_too() {
    let mut again = following(0, 1).installs(view(3, 0, &[]));
    again.me.life = 1;
    let nodes = [again, crashed(1).installs(view(3, 1, &[]))];
    let complaint = "n0#1 and n1 were both leader in term 3";
    assert_eq!(complaints(&property::ONE_LEADER_PER_TERM, &nodes), [complaint]);
}

/// Nobody is left who could send it anything, or who would have to know it.
#[test]
fn a_survivor_that_is_alone_exercises_little() {
    let alone = leading(1).installs(view(1, 0, &[1])).delivers(2, token(0, 0));
    let nodes = [crashed(0).installs(view(1, 0, &[1])), alone.installs(view(3, 1, &[]))];
    assert!(is_witnessed(&property::SINGLE_LEADER, &nodes));
    for property in [&property::NOBODY_STOPPED, &property::NO_DUPLICATE, &property::LEADER_EXISTS] {
        assert!(!is_witnessed(property, &nodes), "{}", property.name);
    }
}

/// Node 1 delivered in another order than node 0, as the presence of node 1 has it.
fn disordered(second: Profile) -> [Profile; 2] {
    let first = view(1, 0, &[1]);
    [
        leading(0).installs(first.clone()).delivers(2, token(0, 0)).delivers(3, token(0, 1)),
        second.installs(first).delivers(2, token(0, 1)).delivers(3, token(0, 0)),
    ]
}

#[test]
fn total_order_forbids_two_orders_and_asks_the_dead_only_if_it_is_uniform() {
    let complaint = "where n0 delivered n0.0, n1 delivered n0.1";
    for (second, survives) in [(following(1, 0), true), (crashed(1), false)] {
        let nodes = disordered(second);
        assert_eq!(complaints(&property::TOTAL_ORDER_UNIFORM, &nodes), [complaint]);
        assert_eq!(!complaints(&property::TOTAL_ORDER_SURVIVORS, &nodes).is_empty(), survives);
        assert_eq!(is_witnessed(&property::TOTAL_ORDER_UNIFORM, &nodes), !survives);
        assert_eq!(is_witnessed(&property::TOTAL_ORDER_SURVIVORS, &nodes), survives);
    }
}

#[test]
fn total_order_forbids_one_message_in_two_views() {
    let later =
        leading(0).installs(view(1, 0, &[1])).installs(view(2, 0, &[1])).delivers(3, token(0, 0));
    let earlier = following(1, 0).installs(view(1, 0, &[1])).delivers(2, token(0, 0));
    let complaint = "n0 and n1 delivered n0.0 in different views";
    assert_eq!(complaints(&property::TOTAL_ORDER_SURVIVORS, &[later, earlier]), [complaint]);
}

#[test]
fn total_order_allows_a_prefix_and_asks_a_newcomer_for_nothing_older() {
    let old =
        leading(0).delivers(1, token(0, 0)).installs(view(2, 0, &[1])).delivers(3, token(0, 1));
    let behind = following(1, 0).installs(view(2, 0, &[1]));
    let level = behind.clone().delivers(3, token(0, 1));
    for newcomer in [behind, level] {
        assert!(complaints(&property::TOTAL_ORDER_UNIFORM, &[old.clone(), newcomer]).is_empty());
    }
}

/// Node 1 missed what was delivered while it was down.
#[test]
fn total_order_takes_a_node_that_comes_back_for_another_process() {
    let stayed = leading(0)
        .installs(view(1, 0, &[1]))
        .delivers(2, token(0, 0))
        .delivers(3, token(0, 1))
        .installs(view(4, 0, &[1, 1]))
        .delivers(5, token(0, 2));
    let before = |node: Profile| node.installs(view(1, 0, &[1])).delivers(2, token(0, 0));
    let back = before(following(1, 0)).rejoins().installs(view(4, 0, &[1, 1]));
    let level = back.clone().delivers(5, token(0, 2));
    for node in [back.clone(), level] {
        for property in [&property::TOTAL_ORDER_UNIFORM, &property::TOTAL_ORDER_SURVIVORS] {
            assert!(complaints(property, &[stayed.clone(), node.clone()]).is_empty());
        }
    }
    let astray = back.delivers(5, token(1, 0));
    let complaint = "where n0 delivered n0.2, n1 delivered n1.0";
    assert_eq!(
        complaints(&property::TOTAL_ORDER_SURVIVORS, &[stayed.clone(), astray]),
        [complaint]
    );

    // The former life still counts, but among the dead.
    let former = following(1, 0).installs(view(1, 0, &[1])).delivers(2, token(1, 1)).rejoins();
    let nodes = [stayed, former.installs(view(4, 0, &[1, 1]))];
    assert!(!complaints(&property::TOTAL_ORDER_UNIFORM, &nodes).is_empty());
    assert!(complaints(&property::TOTAL_ORDER_SURVIVORS, &nodes).is_empty());
}

#[test]
fn total_order_asks_nobody_who_is_back_but_has_not_joined_yet() {
    let nodes = disordered(node(1, Presence::Up(Standing::Outsider)));
    assert!(complaints(&property::TOTAL_ORDER_SURVIVORS, &nodes).is_empty());
    assert!(!complaints(&property::TOTAL_ORDER_UNIFORM, &nodes).is_empty());
}

#[test]
fn no_creation_forbids_what_was_not_sent() {
    let nodes =
        [leading(0).sends(1), following(1, 0).delivers(2, token(0, 0)).delivers(3, token(0, 1))];
    assert_eq!(
        complaints(&property::NO_CREATION, &nodes),
        ["n1 delivered n0.1, which nobody sent"]
    );
    assert!(is_witnessed(&property::NO_CREATION, &nodes));
    let from_nowhere = [leading(0).delivers(1, token(7, 0))];
    assert_eq!(complaints(&property::NO_CREATION, &from_nowhere).len(), 1);
}

#[test]
fn no_duplicate_forbids_a_second_delivery_at_a_node_and_is_exercised_under_a_second_leader() {
    let [zero, one, two] = taken_over();
    let again = [zero, one, two.delivers(3, token(0, 0)).delivers(4, token(0, 0))];
    assert_eq!(complaints(&property::NO_DUPLICATE, &again), ["n2 delivered n0.0 twice"]);
    assert!(!is_witnessed(&property::NO_DUPLICATE, &again));
    let before = following(2, 1).installs(view(1, 0, &[2])).delivers(2, token(0, 0));
    assert!(is_witnessed(&property::NO_DUPLICATE, &[before.installs(view(3, 1, &[2]))]));
}

#[test]
fn validity_asks_a_sender_that_is_up_for_its_own_messages() {
    let lost = [
        leading(0).sends(1),
        following(1, 0).sends(2).delivers(2, token(1, 0)),
        crashed(2).sends(1),
    ];
    assert_eq!(
        complaints(&property::VALIDITY, &lost),
        ["n0 sent n0.0 and never delivered it", "n1 sent n1.1 and never delivered it"]
    );
    assert!(is_witnessed(&property::VALIDITY, &lost));
}

#[test]
fn agreement_on_messages_asks_those_whom_the_view_names_and_who_are_up() {
    let named = view(1, 0, &[1, 2]);
    let sender = |node: Profile| node.installs(named.clone()).delivers(2, token(0, 0));
    let others = || [following(1, 0), crashed(2), following(3, 0)];
    let complaint = ["n0 delivered n0.0, and n1 never did"];
    for (first, survives) in [(leading(0), true), (crashed(0), false)] {
        let nodes: Vec<_> = [sender(first)].into_iter().chain(others()).collect();
        assert_eq!(complaints(&property::UNIFORM_AGREEMENT, &nodes), complaint);
        let among_survivors = complaints(&property::SURVIVORS_AGREEMENT, &nodes);
        assert_eq!(among_survivors, if survives { &complaint[..] } else { &[] });
    }
}

#[test]
fn before_its_first_view_a_founder_owes_only_itself() {
    let nodes = [crashed(0).delivers(1, token(0, 0)), leading(1)];
    assert!(complaints(&property::UNIFORM_AGREEMENT, &nodes).is_empty());
}

#[test]
fn agreement_on_messages_is_exercised_where_somebody_died_or_a_view_has_changed() {
    let dead = crashed(0).installs(view(1, 0, &[1])).delivers(2, token(0, 0));
    let survivor = following(1, 0).installs(view(1, 0, &[1])).delivers(2, token(0, 0));
    assert!(is_witnessed(&property::UNIFORM_AGREEMENT, &[dead, survivor]));
    let [zero, one, two] = taken_over();
    let both = [zero, one.delivers(3, token(1, 0)), two.delivers(3, token(1, 0))];
    assert!(is_witnessed(&property::SURVIVORS_AGREEMENT, &both));
}

#[test]
fn leader_exists_forbids_none_two_and_a_follower_of_somebody_else() {
    let property = &property::LEADER_EXISTS;
    assert_eq!(complaints(property, &[following(1, 0)]), ["nobody leads, and n1 is up"]);
    assert_eq!(complaints(property, &[leading(0), leading(1)]), ["n0 and n1 both lead"]);
    let astray = [leading(0), following(1, 2), crashed(2)];
    assert_eq!(complaints(property, &astray), ["n0 leads, and n1 follows n2"]);
    let outsider = node(1, Presence::Up(Standing::Outsider));
    assert!(complaints_without_a_leader(property, &[crashed(0), outsider]).is_empty());
}

#[test]
fn agreement_forbids_members_in_different_views() {
    let nodes = [
        leading(0).installs(view(2, 0, &[1])),
        following(1, 0),
        crashed(2).installs(view(1, 2, &[])),
    ];
    let complaint = "n0 is in view 2 (n0, [n1]), and n1 in no view";
    assert_eq!(complaints(&property::AGREEMENT, &nodes), [complaint]);
}

#[test]
fn nobody_stopped_forbids_an_end_without_a_word() {
    let silent = node(1, Presence::Stopped);
    let said = Profile { failed: true, ..node(2, Presence::Stopped) };
    let nodes = [silent, said, crashed(0)];
    assert_eq!(complaints(&property::NOBODY_STOPPED, &nodes), ["n1 ended itself over a message"]);
}

// What only elections have.

fn seeking(id: u16) -> Profile {
    node(id, Presence::Up(Standing::Seeking))
}

#[test]
fn leader_exists_forbids_a_member_that_does_not_know_and_asks_nothing_where_none_can_be_had() {
    let property = &property::LEADER_EXISTS;
    assert_eq!(complaints(property, &[leading(0), seeking(1)]), ["n0 leads, and n1 does not know"]);
    assert_eq!(complaints(property, &[seeking(0), seeking(1)]), ["nobody leads, and n0 is up"]);
    let alone = [crashed(0), seeking(1), following(2, 0)];
    assert_eq!(complaints_without_a_leader(property, &alone), [""; 0]);
}

#[test]
fn whoever_was_elected_has_risen() {
    let elected = Profile { elections: vec![Term::from([1, 0, 0])], ..leading(0) };
    let nodes = [elected.clone(), following(1, 0)];
    assert!(is_witnessed(&property::SINGLE_LEADER, &nodes));
    assert!(is_witnessed(&property::LEADER_EXISTS, &nodes));
    let again =
        Profile { presence: Presence::Crashed, ..Profile { me: address(1), ..elected.clone() } };
    let complaint = "n0 and n1 were both leader in term 1.0.0";
    assert_eq!(complaints(&property::ONE_LEADER_PER_TERM, &[elected, again]), [complaint]);
}

#[test]
fn agreement_forbids_different_replicas_and_is_exercised_once_something_was_written() {
    let property = &property::AGREEMENT;
    let has = |replica: &str, profile| Profile { replica: Some(replica.into()), ..profile };
    let nodes = [has("a", leading(0)), has("b", following(1, 0)), following(2, 0)];
    let expected =
        ["n0 has a, and n1 has b", "n0 has a, and n2 has nothing", "n1 has b, and n2 has nothing"];
    assert_eq!(complaints(property, &nodes), expected);
    let alone = [crashed(0), has("a", seeking(1)), seeking(2)];
    assert_eq!(complaints_without_a_leader(property, &alone), [""; 0]);
    assert!(is_witnessed(property, &[has("a", leading(0)), has("a", following(1, 0))]));
    assert!(!is_witnessed(property, &[has("a", leading(0)), following(1, 0)]));
}

#[test]
fn no_lost_call_forbids_none_and_two_answers_but_lets_wait_who_can_have_no_leader() {
    let property = &property::NO_LOST_CALL;
    let waits = |profile| Profile { waiting: vec![3], ..profile };
    let complaint = "n1 still waits for the answer to call 3";
    assert_eq!(complaints(property, &[leading(0), waits(following(1, 0))]), [complaint]);
    let alone = [crashed(0), waits(seeking(1))];
    assert_eq!(complaints_without_a_leader(property, &alone), [""; 0]);
    assert_eq!(complaints(property, &[leading(0), waits(crashed(1))]), [""; 0]);
    let answered = |answers: &[u64]| Profile { answers: answers.into(), ..following(1, 0) };
    let twice = "n1 got two answers to call 3";
    assert_eq!(complaints(property, &[leading(0), answered(&[3, 4, 3])]), [twice]);
    assert_eq!(complaints_without_a_leader(property, &[answered(&[3, 4, 3])]), [twice]);
    assert!(is_witnessed(property, &[leading(0), answered(&[3])]));
    assert!(!is_witnessed(property, &[leading(0), answered(&[])]));
}

#[test]
fn surrendered_before_served_forbids_obeying_another() {
    let property = &property::SURRENDERED_BEFORE_SERVED;
    let served = Profile { served: true, ..following(1, 0) };
    assert_eq!(complaints(property, &[leading(0), served.clone()]), [""; 0]);
    assert!(is_witnessed(property, &[leading(0), served.clone()]));
    let strayed = Profile { strayed: Some(address(2)), ..served };
    let complaint = "n1 obeyed n2, to which it had not surrendered";
    assert_eq!(complaints(property, &[leading(0), strayed]), [complaint]);
}

#[test]
fn bounded_ids_forbids_more_than_two_for_each_node() {
    let property = &property::BOUNDED_IDS;
    let used = |ids| Profile { ids, ..seeking(1) };
    assert_eq!(complaints(property, &[leading(0), used(4)]), [""; 0]);
    assert_eq!(complaints(property, &[leading(0), used(5)]), ["n1 has used up 5 election ids"]);
    let led_by = |leaders: [u16; 2]| {
        let allegiances = leaders.map(address).into();
        [leading(0), Profile { allegiances, ..seeking(1) }]
    };
    assert!(is_witnessed(property, &led_by([0, 2])));
    assert!(!is_witnessed(property, &led_by([0, 0])));
}
