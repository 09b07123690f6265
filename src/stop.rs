//! How the program is asked to end: at first gently, so that running requests are finished, and then at once.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long the orderly end may still take after the second signal.
const FINAL_TIMEOUT: Duration = Duration::from_millis(1500);

/// The exit code of a process that a signal has ended is this and the number of the signal.
const ENDED_BY_SIGNAL: u8 = 128;

/// Whether the program is to end. Clones tell the same.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Nothing new is begun; what runs is finished, within limits.
    pub gently: CancellationToken,
    /// Nothing is waited for.
    pub at_once: CancellationToken,
    /// The exit code that the second signal asks for; 0: there was none.
    exit_code: Arc<AtomicU8>,
}

impl Stop {
    /// Receives SIGTERM and SIGINT from now on until the process ends: the first asks to end gently, the second at once.
    ///
    /// # Errors
    /// If the system does not let it receive them.
    pub fn on_signals() -> io::Result<Self> {
        // A thread and a runtime of its own: signals are received while the program starts, and while its runtime is taken down.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut signals = {
            let _context = runtime.enter();
            Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? }
        };
        let stop = Self::default();
        let requested = stop.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(signals.next());
            requested.gently.cancel();
            let exit_code = runtime.block_on(signals.next());
            requested.exit_code.store(exit_code, Ordering::Release);
            requested.at_once.cancel();
            thread::sleep(FINAL_TIMEOUT);
            process::exit(exit_code.into());
        })?;
        Ok(stop)
    }

    /// The exit code of a program that had to end at once.
    pub fn exit_code(&self) -> Option<u8> {
        Some(self.exit_code.load(Ordering::Acquire)).filter(|exit_code| *exit_code > 0)
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Waits for one, and gives the exit code that it stands for.
    async fn next(&mut self) -> u8 {
        let kind = tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        };
        ENDED_BY_SIGNAL.saturating_add(u8::try_from(kind.as_raw_value()).unwrap_or_default())
    }
}
