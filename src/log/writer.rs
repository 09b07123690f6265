//! Writes the lines of the log to standard error in a thread of its own, several lines at a time.
//!
//! A thread that is woken for each line takes a core from the requests that the lines are about.

use parking_lot::{Condvar, Mutex};
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// Time for which lines are collected.
const COLLECT: Duration = Duration::from_millis(10);

/// Maximum number of bytes that wait to be written. Further lines are dropped: a terminal or a pipe that nobody reads must
/// not stop the server.
const MAX_WAITING: usize = 1024 * 1024;

/// Maximum time to wait for the last lines.
const LAST_LINES_TIMEOUT: Duration = Duration::from_secs(1);

/// Lines that wait to be written.
#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    is_closed: bool,
    /// True if everything is written, and the thread has ended.
    has_ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Notified when the first line waits, when the log is closed, and when the thread has ended.
    changed: Condvar,
}

/// Writer of the lines of a log.
#[derive(Clone, Debug)]
pub(super) struct Lines(Arc<Shared>);

/// Writes the last lines of the log when it is dropped.
#[derive(Debug)]
pub struct LastLines(Arc<Shared>);

impl Lines {
    /// Starts the thread that writes to `output`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(output: impl Write + Send + 'static) -> io::Result<(Self, LastLines)> {
        let shared = Arc::new(Shared::default());
        let in_thread = Arc::clone(&shared);
        thread::Builder::new().name("log".to_owned()).spawn(move || in_thread.write_all_to(output))?;
        Ok((Self(Arc::clone(&shared)), LastLines(shared)))
    }
}

impl Shared {
    /// Writes the lines until the log is closed.
    fn write_all_to(&self, mut output: impl Write) {
        loop {
            let mut waiting = self.waiting.lock();
            while waiting.lines.is_empty() && !waiting.is_closed {
                self.changed.wait(&mut waiting);
            }
            if !waiting.is_closed {
                self.changed.wait_while_for(&mut waiting, |waiting| !waiting.is_closed, COLLECT);
            }
            let (lines, is_closed) = (std::mem::take(&mut waiting.lines), waiting.is_closed);
            drop(waiting);
            // There is no other place where an error could be reported.
            let _ = output.write_all(&lines).and_then(|()| output.flush());
            if is_closed {
                self.waiting.lock().has_ended = true;
                self.changed.notify_all();
                return;
            }
        }
    }
}

impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.waiting.lock();
        if waiting.lines.len() + line.len() <= MAX_WAITING {
            let is_first = waiting.lines.is_empty();
            waiting.lines.extend_from_slice(line);
            if is_first {
                self.0.changed.notify_all();
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Drop for LastLines {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting.lock();
        waiting.is_closed = true;
        self.0.changed.notify_all();
        self.0.changed.wait_while_for(&mut waiting, |waiting| !waiting.has_ended, LAST_LINES_TIMEOUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output that a test can read.
    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn log_writes_all_lines_in_their_order_before_it_ends() {
        let output = Output::default();
        let (lines, last_lines) = Lines::start(output.clone()).unwrap();
        let expected: Vec<String> = (0..1000).map(|line| format!("line {line}\n")).collect();
        for line in &expected {
            (&lines).write_all(line.as_bytes()).unwrap();
        }
        drop(last_lines);
        assert_eq!(String::from_utf8(output.0.lock().clone()).unwrap(), expected.concat());
    }

    #[test]
    fn log_drops_whole_lines_while_nobody_reads_the_output() {
        let output = Output::default();
        let blocked = output.0.lock();
        let (lines, last_lines) = Lines::start(output.clone()).unwrap();
        let line = [b'x'; 1000];
        let dropped = 10;
        for _ in 0..2 * MAX_WAITING / line.len() + dropped {
            (&lines).write_all(&line).unwrap();
        }
        assert!(lines.0.waiting.lock().lines.len() <= MAX_WAITING);
        drop(blocked);
        drop(last_lines);
        let written = output.0.lock().len();
        assert!(written > 0 && written.is_multiple_of(line.len()), "{written} bytes");
    }
}
