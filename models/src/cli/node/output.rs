//! Standard output and standard error of a node. Each has a bounded queue and a thread of its own: whoever does not read
//! them, a full disk or a broken pipe delays nothing and ends nothing. Lines that cannot be written are dropped and
//! counted, and the count is written when there is room again.

use super::super::LineFormat;
use crate::{
    io::text::printable,
    real::line::{Line, Notice},
};
use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tracing_subscriber::fmt::MakeWriter;

/// The maximum number of lines that wait to be written.
const CAPACITY: usize = 4096;
/// The time limit for writing the last lines of a node that has ended.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// A stream of lines, written by a thread of its own.
struct Stream {
    queue: mpsc::Sender<Item>,
    /// The number of lines that were dropped since a count was written.
    dropped: Arc<AtomicU64>,
    /// The line that says how many were dropped.
    apology: Box<dyn Fn(u64) -> Vec<u8> + Send + Sync>,
}

enum Item {
    Line(Vec<u8>),
    /// All lines before this are written, or dropped.
    Mark(oneshot::Sender<()>),
}

impl Stream {
    /// Writes to `out` from now on. `failed` is called when that begins to fail.
    fn open(
        out: impl Write + Send + 'static,
        failed: impl Fn(&io::Error) + Send + 'static,
        apology: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let (queue, items) = mpsc::channel(CAPACITY);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        thread::spawn(move || write(items, out, failed, &counter));
        Self { queue, dropped, apology: Box::new(apology) }
    }

    /// Queues a line if there is room.
    fn print(&self, line: Vec<u8>) {
        self.apologise();
        if self.queue.try_send(Item::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Queues a line, and waits for room.
    async fn print_all(&self, line: Vec<u8>) {
        let room = self.queue.reserve().await;
        self.apologise();
        if let Ok(room) = room {
            room.send(Item::Line(line));
        }
    }

    /// Says how many lines were dropped before this one, if there is room for that.
    fn apologise(&self) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 && self.queue.try_send(Item::Line((self.apology)(dropped))).is_err() {
            self.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
    }

    /// Waits until the lines are written, for a limited time.
    async fn finish(&self) {
        self.apologise();
        let (written, all) = oneshot::channel();
        let finish = async {
            if self.queue.send(Item::Mark(written)).await.is_ok() {
                let _ = all.await;
            }
        };
        let _ = timeout(FINISH_TIMEOUT, finish).await;
    }
}

fn write(
    mut items: mpsc::Receiver<Item>,
    mut out: impl Write,
    failed: impl Fn(&io::Error),
    dropped: &AtomicU64,
) {
    let mut fails = false;
    while let Some(item) = items.blocking_recv() {
        let line = match item {
            Item::Line(line) => line,
            Item::Mark(written) => {
                // Nobody waits if the time limit has passed.
                let _ = written.send(());
                continue;
            }
        };
        let written = out.write_all(&line).and_then(|()| out.flush());
        if let Err(error) = &written {
            dropped.fetch_add(1, Ordering::Relaxed);
            if !fails {
                failed(error);
            }
        }
        fails = written.is_err();
    }
}

/// Standard output: answers and events.
pub(super) struct Output {
    stream: Stream,
    format: LineFormat,
}

impl Output {
    pub(super) fn open(format: LineFormat) -> Self {
        let failed = |error: &io::Error| {
            tracing::warn!(%error, "standard output cannot be written; the node goes on without it");
        };
        let apology = move |lines| formatted(format, None, Notice::Dropped { lines });
        Self { stream: Stream::open(io::stdout(), failed, apology), format }
    }

    /// Prints an event with the current time, if there is room.
    pub(super) fn event(&self, said: Notice) {
        self.stream.print(formatted(self.format, None, said));
    }

    /// Prints an answer with the current time, and waits for room: the next command can wait. For people, a late one
    /// names its command.
    pub(super) async fn answer(&self, number: u64, late: Option<&str>, said: Notice) {
        let mut line = formatted(self.format, Some(number), said);
        if let (Some(command), LineFormat::Text) = (late, self.format) {
            line.splice(..0, format!("{}: ", printable(command)).into_bytes());
        }
        self.stream.print_all(line).await;
    }

    /// Waits until all is written, for a limited time.
    pub(super) async fn finish(&self) {
        self.stream.finish().await;
    }
}

fn formatted(format: LineFormat, answers: Option<u64>, said: Notice) -> Vec<u8> {
    let text = match format {
        LineFormat::Text => format!("{said}\n"),
        LineFormat::Json => {
            let line = serde_json::to_string(&Line::now(answers, said));
            format!("{}\n", line.expect("a line is JSON"))
        }
    };
    text.into_bytes()
}

/// Standard error: what the runtime logs.
#[derive(Clone)]
pub(super) struct Errors(Arc<Stream>);

impl Errors {
    pub(super) fn open() -> Self {
        let apology = |lines| {
            format!("{lines} lines were dropped here: they could not be written\n").into_bytes()
        };
        // Where it fails, there is nobody to tell.
        Self(Arc::new(Stream::open(io::stderr(), |_| {}, apology)))
    }

    /// Prints the line about the error that has ended the node, and waits until it is written, for a limited time.
    pub(super) async fn conclude(&self, error: Option<String>) {
        if let Some(error) = error {
            self.0.print(error.into_bytes());
        }
        self.0.finish().await;
    }
}

impl<'a> MakeWriter<'a> for Errors {
    type Writer = Event<'a>;

    fn make_writer(&'a self) -> Event<'a> {
        Event { stream: &self.0, text: vec![] }
    }
}

/// An event of the log, printed as a whole when it is dropped.
pub(super) struct Event<'a> {
    stream: &'a Stream,
    text: Vec<u8>,
}

impl Write for Event<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        self.stream.print(std::mem::take(&mut self.text));
    }
}
