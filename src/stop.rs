//! Shutdown of the program by signals: first gracefully, so that running requests finish, then immediately.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Maximum duration of the shutdown after the second signal.
const FINAL_TIMEOUT: Duration = Duration::from_millis(1500);

/// Base of the exit code of a process that a signal has ended; the number of the signal is added.
const ENDED_BY_SIGNAL: u8 = 128;

/// Requests to end the program. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Cancelled by the first signal: no new work is started, and running work is finished, within time limits.
    pub graceful: CancellationToken,
    /// Cancelled by the second signal: nothing is waited for.
    pub immediate: CancellationToken,
    /// Exit code for the second signal; 0: no second signal was received.
    exit_code: Arc<AtomicU8>,
}

impl Stop {
    /// Handles SIGTERM and SIGINT from now on until the process ends: the first signal requests a graceful shutdown,
    /// the second an immediate one.
    ///
    /// # Errors
    /// If the signal handlers, their runtime or their thread cannot be created.
    pub fn on_signals() -> io::Result<Self> {
        Self::on(|| Ok(None))
    }

    /// Like [`Self::on_signals`], and handles SIGHUP like SIGTERM: for a command that must tidy up if its terminal is
    /// closed. A server must survive that if it was started with `nohup`.
    ///
    /// # Errors
    /// As those of [`Self::on_signals`].
    pub fn on_signals_and_hang_up() -> io::Result<Self> {
        Self::on(|| signal(SignalKind::hangup()).map(Some))
    }

    fn on(hang_up: impl FnOnce() -> io::Result<Option<Signal>>) -> io::Result<Self> {
        // A separate thread and runtime, so that signals are also handled while the program starts and while its own
        // runtime shuts down.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut signals = {
            let _context = runtime.enter();
            let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            Signals { terminate, interrupt, hang_up: hang_up()? }
        };
        let stop = Self::default();
        let requested = stop.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(signals.next());
            requested.graceful.cancel();
            let exit_code = runtime.block_on(signals.next());
            requested.exit_code.store(exit_code, Ordering::Release);
            requested.immediate.cancel();
            thread::sleep(FINAL_TIMEOUT);
            process::exit(exit_code.into());
        })?;
        Ok(stop)
    }

    /// Returns the exit code of an immediate shutdown; `None`: no second signal was received.
    pub fn exit_code(&self) -> Option<u8> {
        Some(self.exit_code.load(Ordering::Acquire)).filter(|exit_code| *exit_code > 0)
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None`: this signal is not handled.
    hang_up: Option<Signal>,
}

impl Signals {
    /// Waits for a signal and returns its exit code.
    async fn next(&mut self) -> u8 {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        let kind = tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = hang_up => SignalKind::hangup(),
        };
        ENDED_BY_SIGNAL.saturating_add(u8::try_from(kind.as_raw_value()).unwrap_or_default())
    }
}
