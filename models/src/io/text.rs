//! Values as text for people.

use interrex::machine::Address;
use num_format::{Buffer, Locale};
use serde_json::{Map, Value};

/// `4,335`.
#[must_use]
pub fn grouped(count: u64) -> String {
    let mut text = Buffer::new();
    text.write_formatted(&count, &Locale::en);
    text.as_str().into()
}

/// `1 scenario`, `3 scenarios`: a count of something that is many with an `s`.
#[must_use]
pub fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// `send(to: n1, message: msg(number: 2, term: (counter: 1, owner: n0)))`: JSON without its quotes, and with round brackets.
/// A map of processes or numbers keeps its curly ones: `{n1: 3}` is no call.
#[must_use]
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => printable(text),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(plain).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            if is_map(fields) {
                return format!("{{{}}}", entries(fields));
            }
            let mut entries = fields.iter();
            match (entries.next(), entries.next()) {
                (None, _) => "{}".into(),
                // An enum's variant.
                (Some((variant, inner)), None) => format!("{variant}({})", inside(inner)),
                _ => format!("({})", inside(value)),
            }
        }
    }
}

/// The text without control characters, and without those that change the direction or the line: a file must not steer the
/// terminal that shows it, nor make it show something else than it says.
#[must_use]
pub fn printable(text: &str) -> String {
    text.replace(steers, "\u{fffd}")
}

fn steers(it: char) -> bool {
    let turns = matches!(it, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || it.is_control()
}

/// The value without brackets, for a place that has brackets already.
fn inside(value: &Value) -> String {
    match value {
        Value::Object(fields) if fields.len() > 1 && !is_map(fields) => entries(fields),
        _ => plain(value),
    }
}

/// True for a map whose keys are processes or numbers: no field and no variant is called so.
fn is_map(fields: &Map<String, Value>) -> bool {
    let is_key = |key: &String| key.parse::<Address>().is_ok() || key.parse::<u64>().is_ok();
    !fields.is_empty() && fields.keys().all(is_key)
}

fn entries(fields: &Map<String, Value>) -> String {
    let entry = |(name, value): (&String, &Value)| format!("{name}: {}", plain(value));
    fields.iter().map(entry).collect::<Vec<_>>().join(", ")
}

/// The beginning of a text that is longer than this many characters.
#[must_use]
pub fn clipped(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.into();
    }
    text.chars().take(longest - 1).chain(['…']).collect()
}

/// A text in lines of this many characters; a longer word has a line of its own.
#[must_use]
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

/// `14:03:07.250310`: the time of day, in UTC, of a time in microseconds since 1970.
#[must_use]
pub fn time_of_day(micros: u64) -> String {
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    let [hours, minutes, seconds] = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
    format!("{hours:02}:{minutes:02}:{seconds:02}.{micros:06}")
}

/// The differences between two values: path, old value, new value.
#[must_use]
pub fn differences(before: &Value, after: &Value) -> Vec<(String, Value, Value)> {
    let mut found = vec![];
    compare("", before, after, &mut found);
    found
}

/// Puts a new value at a path, as [`differences`] writes it.
pub fn put(value: &mut Value, path: &str, new: &Value) {
    let leads_on = |name: &String| {
        let rest = path.strip_prefix(name.as_str())?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
    };
    let fields = value.as_object_mut().filter(|_| !path.is_empty());
    // A name may itself contain a dot.
    let longest = fields.and_then(|fields| {
        let fields = fields.iter_mut().filter(|(name, _)| leads_on(name).is_some());
        fields.max_by_key(|(name, _)| name.len())
    });
    match longest {
        Some((name, inner)) => put(inner, leads_on(name).unwrap_or_default(), new),
        None => value.clone_from(new),
    }
}

fn compare(path: &str, before: &Value, after: &Value, found: &mut Vec<(String, Value, Value)>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) if old.keys().eq(new.keys()) => {
            for (name, value) in old {
                let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(&inner, value, &new[name], found);
            }
        }
        _ if before != after => found.push((path.into(), before.clone(), after.clone())),
        _ => {}
    }
}
