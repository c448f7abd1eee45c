//! Standard input: commands, one a line.

use interrex::gen_leader::dictionary::Request;
use interrex_models::io::file::did_you_mean;
use std::{
    io::{self, BufRead, Read},
    thread,
};
use tokio::sync::mpsc;

/// More than a command has, in bytes.
const MOST: usize = 64 << 10;

/// A line: its number, from 1, and its text, or what is wrong with it.
pub(super) struct Typed {
    pub(super) number: u64,
    pub(super) text: Result<String, String>,
}

/// Reads lines as they are asked for, on a thread of its own: a terminal cannot be polled.
pub(super) fn lines() -> mpsc::Receiver<Typed> {
    let (typed, lines) = mpsc::channel(1);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        for number in 1.. {
            // An input that cannot be read has ended.
            let Ok(Some(text)) = read_line(&mut input) else { break };
            if typed.blocking_send(Typed { number, text }).is_err() {
                break;
            }
        }
    });
    lines
}

fn read_line(input: &mut impl BufRead) -> io::Result<Option<Result<String, String>>> {
    let mut line = vec![];
    if input.take(MOST as u64 + 1).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.len() > MOST && !line.ends_with(b"\n") {
        input.skip_until(b'\n')?;
        return Ok(Some(Err("this line is longer than 64 KiB, which no command is".into())));
    }
    let text = String::from_utf8(line).map_err(|_| "this line is not UTF-8".into());
    Ok(Some(text.map(|text| text.trim_end_matches(['\r', '\n']).into())))
}

/// What any protocol is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked<C> {
    /// Who leads?
    Leader,
    /// Who takes part?
    Members,
    /// How many tasks run?
    Tasks,
    /// What can be asked for?
    Help,
    /// The end.
    Quit,
    /// What only this protocol knows.
    Own(C),
}

/// What only some protocol knows.
pub(super) trait Own: Sized {
    /// How its commands are written, and what they do.
    const USAGE: &'static [(&'static str, &'static str)];
    /// By name, with what stands behind it.
    fn parse(name: &str, rest: &str) -> Option<Self>;
}

/// Commands of the dictionary: to the leader, or to the copy at hand.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dictionary(pub(super) Request<String, String>);

/// A text to be multicast.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mcast(pub(super) String);

const COMMON: [(&str, &str); 5] = [
    ("leader", "who leads, as far as this node knows"),
    ("members", "who takes part"),
    ("tasks", "how many tasks run in this process, for those who look for leaks"),
    ("help", "these lines"),
    ("quit", "shut this node down"),
];

impl<C: Own> Asked<C> {
    /// What a line asks for. Nothing, if it is empty.
    pub(super) fn parse(line: &str) -> Result<Option<Self>, String> {
        let line = line.trim_start();
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let plain = match name {
            "" => return Ok(None),
            "leader" => Some(Self::Leader),
            "members" => Some(Self::Members),
            "tasks" => Some(Self::Tasks),
            "help" => Some(Self::Help),
            "quit" => Some(Self::Quit),
            _ => None,
        };
        let asked = plain
            .filter(|_| rest.trim().is_empty())
            .or_else(|| C::parse(name, rest).map(Self::Own));
        asked.map(Some).ok_or_else(|| wrong::<C>(name))
    }

    pub(super) fn help() -> Vec<String> {
        usage::<C>().map(|(how, what)| format!("{how:<14}  {what}")).collect()
    }
}

fn usage<C: Own>() -> impl Iterator<Item = (&'static str, &'static str)> {
    C::USAGE.iter().copied().chain(COMMON)
}

fn wrong<C: Own>(name: &str) -> String {
    let first = |how: &'static str| how.split(' ').next().unwrap_or(how);
    if let Some((how, _)) = usage::<C>().find(|(how, _)| first(how) == name) {
        return format!("`{name}` is written: {how}");
    }
    let names: Vec<_> = usage::<C>().map(|(how, _)| first(how)).collect();
    let hint = did_you_mean(name, names.iter().copied());
    format!("there is no command `{name}`{hint} (there are: {})", names.join(", "))
}

impl Own for Dictionary {
    const USAGE: &'static [(&'static str, &'static str)] = &[
        ("put KEY VALUE", "store a value, at the leader; a key has no spaces, a value may"),
        ("get KEY", "look a value up, in the copy of this node"),
        ("delete KEY", "delete a value, at the leader"),
        ("dump", "everything that the copy of this node holds"),
    ];

    fn parse(name: &str, rest: &str) -> Option<Self> {
        let word = || Some(rest.trim()).filter(|word| !word.is_empty() && !word.contains(' '));
        Some(Self(match name {
            "put" => {
                let (key, value) = rest.trim_start().split_once(' ')?;
                Request::Store(key.into(), value.into())
            }
            "get" => Request::Lookup(word()?.into()),
            "delete" => Request::Delete(word()?.into()),
            "dump" if rest.trim().is_empty() => Request::Dump,
            _ => return None,
        }))
    }
}

impl Own for Mcast {
    const USAGE: &'static [(&'static str, &'static str)] =
        &[("mcast TEXT", "deliver a text at every member, in the same order everywhere")];

    fn parse(name: &str, rest: &str) -> Option<Self> {
        (name == "mcast" && !rest.is_empty()).then(|| Self(rest.into()))
    }
}
