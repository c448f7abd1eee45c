//! Standard input: commands, one per line.

use crate::{
    io::file::did_you_mean,
    real::{
        application::{Answer, AnyClient},
        line::Notice,
    },
};
use std::{
    io::{self, BufRead, Read},
    thread,
};
use tokio::sync::mpsc;

/// The maximum length of a line, in bytes.
const MOST_BYTES: usize = 64 << 10;

/// A line: its number, from 1, and its text or an error message.
pub(super) struct InputLine {
    pub(super) number: u64,
    pub(super) text: Result<String, String>,
}

/// Reads lines on demand, on a thread of its own: a terminal cannot be polled.
pub(super) fn lines() -> mpsc::Receiver<InputLine> {
    let (sender, lines) = mpsc::channel(1);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        for number in 1.. {
            // A read error counts as the end of the input.
            let Ok(Some(text)) = read_line(&mut input) else { break };
            if sender.blocking_send(InputLine { number, text }).is_err() {
                break;
            }
        }
    });
    lines
}

fn read_line(input: &mut impl BufRead) -> io::Result<Option<Result<String, String>>> {
    let mut line = vec![];
    if input.take(MOST_BYTES as u64 + 1).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.len() > MOST_BYTES && !line.ends_with(b"\n") {
        input.skip_until(b'\n')?;
        return Ok(Some(Err("this line is longer than 64 KiB, which no command is".into())));
    }
    let text = String::from_utf8(line).map_err(|_| "this line is not UTF-8".into());
    Ok(Some(text.map(|text| text.trim_end_matches(['\r', '\n']).into())))
}

/// A command: one that every protocol has, or a request of this protocol.
pub(super) enum Query {
    /// The leader.
    Leader,
    /// The members.
    Members,
    /// The number of tasks.
    Tasks,
    /// The list of commands.
    Help,
    /// Shut down.
    Quit,
    /// A request of this protocol, and the answer to it in the future.
    Own(Answer<Option<Notice>>),
}

const COMMON: [(&str, &str); 5] = [
    ("leader", "the leader, as far as this node knows"),
    ("members", "the members of the group or of the election"),
    ("tasks", "the number of tasks in this process, to detect leaks"),
    ("help", "list the commands"),
    ("quit", "shut this node down"),
];

impl Query {
    /// Parses a line, and asks a request of the protocol. An empty line is no command.
    pub(super) fn parse(line: &str, client: &mut dyn AnyClient) -> Result<Option<Self>, String> {
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
            .or_else(|| client.ask(name, rest).map(Self::Own));
        asked.map(Some).ok_or_else(|| wrong(client, name, line))
    }

    pub(super) fn help(client: &dyn AnyClient) -> Vec<String> {
        usage(client).map(|(how, what)| format!("{how:<14}  {what}")).collect()
    }
}

fn usage(client: &dyn AnyClient) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
    client.usage().iter().copied().chain(COMMON)
}

/// A command without its arguments: `put`, `hand over`.
fn fixed(how: &str) -> &str {
    let is_argument = |word: &str| word.chars().all(char::is_uppercase);
    let arguments = how.split(' ').skip_while(|word| !is_argument(word));
    let length: usize = arguments.map(|word| word.len() + 1).sum();
    &how[..how.len() - length]
}

fn wrong(client: &dyn AnyClient, name: &str, line: &str) -> String {
    let first = |how: &'static str| how.split(' ').next().unwrap_or(how);
    if let Some((how, _)) = usage(client).find(|(how, _)| first(how) == name) {
        return format!("`{name}` is written: {how}");
    }
    let names: Vec<_> = usage(client).map(|(how, _)| fixed(how)).collect();
    // As `handover`, or `hnad over`.
    let hints = [name, line.trim_end()].map(|written| did_you_mean(written, names.iter().copied()));
    let hint = hints.into_iter().find(|hint| !hint.is_empty()).unwrap_or_default();
    format!("there is no command `{name}`{hint} (there are: {})", names.join(", "))
}
