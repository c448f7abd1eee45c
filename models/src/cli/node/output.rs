//! Standard output, written by a thread of its own: a slow reader delays the answers, but not the heartbeats of the
//! node.

use super::super::LineFormat;
use interrex_models::real::line::{Line, Notice};
use std::{
    io::{self, Write},
    thread,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// The maximum number of buffered lines.
const CAPACITY: usize = 256;
/// The time limit for writing the last lines of a node that has ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct Output {
    lines: mpsc::Sender<Line>,
    over: oneshot::Receiver<io::Result<()>>,
}

/// Standard output is closed; [`Output::close`] returns the error.
#[derive(Debug)]
pub(super) struct Closed;

impl Output {
    pub(super) fn open(format: LineFormat) -> Self {
        let (lines, taken) = mpsc::channel(CAPACITY);
        let (done, over) = oneshot::channel();
        thread::spawn(move || done.send(write(taken, format)));
        Self { lines, over }
    }

    /// Queues a line with the current time.
    pub(super) async fn say(&self, answers: Option<u64>, said: Notice) -> Result<(), Closed> {
        self.lines.send(Line::now(answers, said)).await.map_err(|_| Closed)
    }

    /// Waits until standard output is closed.
    pub(super) async fn closed(&self) {
        self.lines.closed().await;
    }

    pub(super) async fn close(self) -> io::Result<()> {
        drop(self.lines);
        match timeout(CLOSE_TIMEOUT, self.over).await {
            Ok(Ok(written)) => written,
            // The thread has panicked, or the reader does not read.
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }
}

fn write(mut lines: mpsc::Receiver<Line>, format: LineFormat) -> io::Result<()> {
    let mut out = io::stdout().lock();
    while let Some(line) = lines.blocking_recv() {
        match format {
            LineFormat::Text => writeln!(out, "{}", line.said)?,
            LineFormat::Json => {
                serde_json::to_writer(&mut out, &line)?;
                writeln!(out)?;
            }
        }
        out.flush()?;
    }
    Ok(())
}
