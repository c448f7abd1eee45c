//! Standard output, written by a thread of its own: whoever reads slowly holds the answers up, but not the node's
//! signs of life.

use super::super::LineFormat;
use interrex_models::real::line::{Line, Said};
use std::{
    io::{self, Write},
    thread,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// How many lines may wait for their reader.
const WAITING: usize = 256;
/// How long a node that has ended waits for the reader of its last lines.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) struct Output {
    lines: mpsc::Sender<Line>,
    over: oneshot::Receiver<io::Result<()>>,
}

/// Nobody reads any more; [`Output::close`] says why.
#[derive(Debug)]
pub(super) struct Unread;

impl Output {
    pub(super) fn open(format: LineFormat) -> Self {
        let (lines, taken) = mpsc::channel(WAITING);
        let (done, over) = oneshot::channel();
        thread::spawn(move || done.send(write(taken, format)));
        Self { lines, over }
    }

    /// It happens now, and is said as soon as somebody reads.
    pub(super) async fn say(&self, answers: Option<u64>, said: Said) -> Result<(), Unread> {
        self.lines.send(Line::now(answers, said)).await.map_err(|_| Unread)
    }

    /// Waits until nobody reads any more.
    pub(super) async fn unread(&self) {
        self.lines.closed().await;
    }

    pub(super) async fn close(self) -> io::Result<()> {
        drop(self.lines);
        match timeout(FAREWELL, self.over).await {
            Ok(Ok(written)) => written,
            // The thread has vanished, or the reader sleeps.
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
