//! The consequences of actions: effects in order, ends of lives, cuts.

use super::{Rules, World};
use crate::{
    model::{
        action::Side,
        parts::{EMPTY, Handle, Reach, Step, Target},
    },
    protocol::Protocol,
};
use interrex::machine::{NodeId, Peer};

impl<P: Protocol> Rules<P> {
    /// Carries out the effects of a step in order: all of them, or the first k before a crash.
    pub(super) fn carry_out(
        &self,
        world: &mut World,
        me: NodeId,
        step: &Step<P>,
        crash_after: Option<usize>,
    ) {
        let happening = &step.reach[..crash_after.unwrap_or(step.reach.len())];
        world.parts[usize::from(me.0)] = step.node;
        for reach in happening {
            match *reach {
                Reach::Nowhere => {}
                Reach::Send { to, signal } => {
                    if self.reaches(world, me, to) {
                        self.push(world, me, to.node(), signal);
                    }
                }
                Reach::Monitor(target) => self.monitor(world, me, target),
                Reach::Demonitor(target) => self.demonitor(world, me, target),
            }
        }
        if step.stops || crash_after.is_some() {
            let node = crash_after.map_or(step.node, |k| self.parts.crashed_within(step, k));
            self.end(world, me, node);
        }
    }

    fn monitor(&self, world: &mut World, me: NodeId, target: Target) {
        if self.reaches(world, me, target.peer) {
            let node = &mut world.parts[usize::from(me.0)];
            *node = self.parts.watch(*node, target);
        } else {
            self.push(world, target.peer.node(), me, target.down);
        }
    }

    fn demonitor(&self, world: &mut World, me: NodeId, target: Target) {
        let node = &mut world.parts[usize::from(me.0)];
        *node = self.parts.unwatch(*node, target);
        let link = &mut world.parts[self.link(target.peer.node(), me)];
        *link = self.parts.without_down(*link, target);
    }

    /// Ends a node's life. Signals on their way to it are lost. Its watchers are notified after everything
    /// that it had sent.
    pub(super) fn end(&self, world: &mut World, me: NodeId, ended: Handle) {
        let gone = self.parts.names(world.node(me));
        world.parts[usize::from(me.0)] = ended;
        for other in self.nodes() {
            world.parts[self.link(other, me)] = EMPTY;
        }
        for watcher in self.nodes() {
            self.report(world, watcher, gone);
        }
    }

    /// Opens a cut. Messages between the sides are lost, and monitors across fire as if the other end had
    /// crashed. A `Down` that is under way stays: a detector forgets nothing.
    pub(super) fn open_cut(&self, world: &mut World, side: Side) {
        self.set_cut(world, Some(side));
        for from in self.nodes() {
            for to in self.nodes().filter(|to| side.contains(*to) != side.contains(from)) {
                let link = &mut world.parts[self.link(from, to)];
                *link = self.parts.without_messages(*link);
                self.report(world, to, self.parts.names(world.node(from)));
            }
        }
    }

    /// Notifies a watcher, if it monitors this process, that it is down. The monitor is used up.
    fn report(&self, world: &mut World, watcher: NodeId, gone: [Target; 2]) {
        let monitors = self.parts.monitors(world.node(watcher));
        for target in gone.into_iter().filter(|target| monitors.contains(target)) {
            let node = &mut world.parts[usize::from(watcher.0)];
            *node = self.parts.unwatch(*node, target);
            self.push(world, target.peer.node(), watcher, target.down);
        }
    }

    fn push(&self, world: &mut World, from: NodeId, to: NodeId, signal: Handle) {
        let link = &mut world.parts[self.link(from, to)];
        *link = self.parts.push(*link, signal);
    }

    /// Replaces a link by the result of `change`.
    ///
    /// # Panics
    /// If `change` has no result: the action was not enabled.
    pub(super) fn change_link(
        &self,
        world: &mut World,
        from: NodeId,
        to: NodeId,
        change: impl FnOnce(Handle) -> Option<Handle>,
    ) {
        let link = &mut world.parts[self.link(from, to)];
        *link = change(*link).expect("an action that is enabled");
    }

    /// True if the process that a peer names is up, on the same side of a cut.
    fn reaches(&self, world: &World, me: NodeId, peer: Peer) -> bool {
        if self.are_cut_off(world, me, peer.node()) {
            return false;
        }
        let life = self.parts.life(world.node(peer.node()));
        match peer {
            Peer::Name(_) => life.is_some(),
            Peer::Process(address) => life == Some(address.life),
        }
    }
}
