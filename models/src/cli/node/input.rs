//! Standard input: commands, one a line.

use interrex_models::{io::file::did_you_mean, real::application::Request};
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
pub(super) enum Asked<R> {
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
    Own(R),
}

const COMMON: [(&str, &str); 5] = [
    ("leader", "who leads, as far as this node knows"),
    ("members", "who takes part"),
    ("tasks", "how many tasks run in this process, for those who look for leaks"),
    ("help", "these lines"),
    ("quit", "shut this node down"),
];

impl<R: Request> Asked<R> {
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
            .or_else(|| R::parse(name, rest).map(Self::Own));
        asked.map(Some).ok_or_else(|| wrong::<R>(name))
    }

    pub(super) fn help() -> Vec<String> {
        usage::<R>().map(|(how, what)| format!("{how:<14}  {what}")).collect()
    }
}

fn usage<R: Request>() -> impl Iterator<Item = (&'static str, &'static str)> {
    R::USAGE.iter().copied().chain(COMMON)
}

fn wrong<R: Request>(name: &str) -> String {
    let first = |how: &'static str| how.split(' ').next().unwrap_or(how);
    if let Some((how, _)) = usage::<R>().find(|(how, _)| first(how) == name) {
        return format!("`{name}` is written: {how}");
    }
    let names: Vec<_> = usage::<R>().map(|(how, _)| first(how)).collect();
    let hint = did_you_mean(name, names.iter().copied());
    format!("there is no command `{name}`{hint} (there are: {})", names.join(", "))
}
