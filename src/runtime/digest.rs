//! Digests in logs: a large value that follows from the rest of the logs is not written whole.

use crate::machine::{Boot, Effect, Event};
use blake2::{Blake2b, Digest as _, digest::consts::U32};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, de::DeserializeOwned, ser};
use serde_json::value::RawValue;
use std::io::{self, BufWriter, Write};

/// The length of the longest JSON, in bytes, that a log has whole of a value that can be [`Held`]: 16 KiB. That is more than
/// people read of a line. What protocols say to each other is shorter, except when it carries data of the application:
/// without digests, each piece of a large state would be in the logs of its sender, its receiver and each disk.
pub const MAX_WHOLE_BYTES: u64 = 16 << 10;

/// A value in a log: whole, or only its digest if its JSON is longer than [`MAX_WHOLE_BYTES`].
///
/// Messages, observations and stored values are held, in events, effects and at the start of a life. They can be had
/// again: effects by running the machine on the events before, a message from the log of its sender, a stored value from
/// the life before. Commands are inputs of the cluster: nothing else tells of them, and a log has them whole.
///
/// In JSON, the whole value is written as it is, and a digest as an object with the only key `digest`. A value whose JSON
/// would look like a digest is written as a digest, however short it is.
///
/// # Example
///
/// ```
/// use interrex::runtime::{Held, MAX_WHOLE_BYTES};
///
/// let long = "x".repeat(20_000);
/// let line = serde_json::to_string(&[Held::Whole(&long), Held::Whole(&"short".to_owned())])?;
/// assert_eq!(
///     line,
///     r#"[{"digest":{"bytes":20002,"blake2b":"f88ffe5aca150aab80e3162e8c606fb41826f7e85cf0908e54dce16eb34db036"}},"short"]"#
/// );
/// let [one, other] = serde_json::from_str::<[Held<String>; 2]>(&line)?;
/// assert!(matches!(&one, Held::Digest(digest) if digest.bytes > MAX_WHOLE_BYTES));
/// assert!(one.is(&long) && !one.is(&"y".repeat(20_000)));
/// assert!(other.is(&"short".to_owned()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held<T> {
    /// The value.
    Whole(T),
    /// Its digest.
    Digest(Digest),
}

/// The digest of a value in a log: of its JSON, without spaces, as `serde_json` writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// The length, in bytes.
    pub bytes: u64,
    /// `BLAKE2b` with 256 bits, in hexadecimal: as `b2sum --length 256` prints it.
    pub blake2b: String,
}

/// A digest as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marked<D> {
    digest: D,
}

/// How the JSON of a digest begins.
const MARK: &[u8] = br#"{"digest":"#;

impl Digest {
    /// The digest of a value, if a log has that instead of the value.
    ///
    /// # Errors
    /// If the value cannot be written as JSON.
    pub fn of_long(value: &impl Serialize) -> serde_json::Result<Option<Self>> {
        let (digest, begin) = Self::measure(value)?;
        Ok((digest.bytes > MAX_WHOLE_BYTES || begin == MARK).then_some(digest))
    }

    /// The digest of a value, and the first bytes of its JSON.
    fn measure(value: &impl Serialize) -> serde_json::Result<(Self, Vec<u8>)> {
        let mut out = BufWriter::new(Measure { begin: vec![], bytes: 0, hash: Blake2b::new() });
        serde_json::to_writer(&mut out, value)?;
        let Measure { begin, bytes, hash } =
            out.into_inner().map_err(|error| ser::Error::custom(error.into_error()))?;
        Ok((Self { bytes, blake2b: format!("{:x}", hash.finalize()) }, begin))
    }
}

/// Reads bytes, and keeps only what a digest needs.
struct Measure {
    /// The first bytes, as many as [`MARK`] has.
    begin: Vec<u8>,
    bytes: u64,
    hash: Blake2b<U32>,
}

impl Write for Measure {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let missing = MARK.len() - self.begin.len();
        self.begin.extend(bytes.iter().take(missing));
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: Serialize + PartialEq> Held<T> {
    /// True if it is this value, or its digest.
    pub fn is(&self, value: &T) -> bool {
        match self {
            Self::Whole(whole) => whole == value,
            Self::Digest(digest) => {
                Digest::measure(value).is_ok_and(|(measured, _)| measured == *digest)
            }
        }
    }
}

impl<T: Serialize> Serialize for Held<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Whole(value) => match Digest::of_long(value).map_err(ser::Error::custom)? {
                Some(digest) => Marked { digest }.serialize(serializer),
                None => value.serialize(serializer),
            },
            Self::Digest(digest) => Marked { digest }.serialize(serializer),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Held<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An untagged enum would read a value from a copy that has lost what only JSON knows, as numbers that are keys.
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let held = if text.get().as_bytes().starts_with(MARK) {
            serde_json::from_str(text.get()).map(|Marked { digest }| Self::Digest(digest))
        } else {
            serde_json::from_str(text.get()).map(Self::Whole)
        };
        held.map_err(|error| {
            let message = error.to_string();
            // The place in the value is not the one in the line.
            de::Error::custom(message.rsplit_once(" at line ").map_or(&*message, |(said, _)| said))
        })
    }
}

impl<Stable> Boot<Stable> {
    /// The same, as a log has it.
    pub fn held(&self) -> Boot<Held<&Stable>> {
        let Self { me, stable, contact } = self;
        Boot { me: *me, stable: stable.as_ref().map(Held::Whole), contact: *contact }
    }
}

impl<Message, Command, Timer> Event<Message, Command, Timer> {
    /// The same, as a log has it.
    pub fn held(&self) -> Event<Held<&Message>, &Command, &Timer> {
        match self {
            Self::Message { from, message } => {
                Event::Message { from: *from, message: Held::Whole(message) }
            }
            Self::Down(peer) => Event::Down(*peer),
            Self::Timeout(timer) => Event::Timeout(timer),
            Self::Command(command) => Event::Command(command),
        }
    }
}

impl<Message, Timer, Stable, Observation> Effect<Message, Timer, Stable, Observation> {
    /// The same, as a log has it.
    pub fn held(&self) -> Effect<Held<&Message>, &Timer, Held<&Stable>, Held<&Observation>> {
        match self {
            Self::Send { to, message } => Effect::Send { to: *to, message: Held::Whole(message) },
            Self::Monitor(peer) => Effect::Monitor(*peer),
            Self::Demonitor(peer) => Effect::Demonitor(*peer),
            Self::SetTimer { timer, after } => Effect::SetTimer { timer, after: *after },
            Self::CancelTimer(timer) => Effect::CancelTimer(timer),
            Self::Persist(stable) => Effect::Persist(Held::Whole(stable)),
            Self::Observe(observation) => Effect::Observe(Held::Whole(observation)),
            Self::Stop(reason) => Effect::Stop(reason.clone()),
        }
    }
}
