//! Starts the server again when it has died.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, mem};

use tokio::sync::oneshot;

use super::instance::Instance;
use super::programs::Programs;
use super::server::Server;
use super::sockets::SocketDirectory;
use super::{Durability, StartError, cluster};

/// How often the server is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A server that dies more often than [`STARTS`] times in this period is given up.
const PERIOD: Duration = Duration::from_mins(1);

/// How often the server is started again within [`PERIOD`].
const STARTS: usize = 5;

/// What a server is started from, and started again.
#[derive(Debug)]
pub(super) struct Installation {
    // Dropped in this order: the lock of the directory is the last to go.
    pub(super) sockets: SocketDirectory,
    pub(super) instance: Instance,
    pub(super) programs: Programs,
    pub(super) durability: Durability,
}

impl Installation {
    /// Clears away what a crash left, and starts a server.
    pub(super) fn start(&self) -> Result<Server, StartError> {
        Server::start(&self.instance, &self.programs, &self.sockets, self.durability)
    }
}

/// A thread that looks after the server until it is told to stop.
#[derive(Debug)]
pub(super) struct Supervisor {
    pid: Arc<AtomicU32>,
    stop: mpsc::Sender<()>,
    thread: Option<JoinHandle<Option<Server>>>,
    gave_up: Option<oneshot::Receiver<String>>,
}

impl Supervisor {
    /// Looks after a server that runs.
    pub(super) fn of(server: Server, installation: Arc<Installation>) -> io::Result<Self> {
        let pid = Arc::new(AtomicU32::new(server.pid()));
        let (stop, stopping) = mpsc::channel();
        let (give_up, reason) = oneshot::channel();
        let watch = Watch { installation, pid: Arc::clone(&pid), died: Vec::new() };
        let thread = thread::Builder::new()
            .name("postgres supervisor".to_owned())
            .spawn(move || watch.run(server, &stopping, give_up))?;
        Ok(Self { pid, stop, thread: Some(thread), gave_up: Some(reason) })
    }

    /// The process id of the server that runs, or that ran last.
    pub(super) fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    /// What will receive the reason why the server is not started again any more; `None` from the second call on.
    pub(super) fn gave_up(&mut self) -> Option<oneshot::Receiver<String>> {
        self.gave_up.take()
    }

    /// Stops the server.
    pub(super) fn stop(&mut self) -> io::Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // It may have ended by itself.
        let _ = self.stop.send(());
        match thread.join() {
            Ok(Some(mut server)) => server.stop(),
            Ok(None) => Ok(()),
            Err(_) => Err(io::Error::other("the thread that looks after postgresql panicked")),
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!(%error, "could not stop the private postgresql");
        }
    }
}

struct Watch {
    installation: Arc<Installation>,
    pid: Arc<AtomicU32>,
    /// When the server died, within the last period.
    died: Vec<Instant>,
}

impl Watch {
    /// Gives the server that runs in the end.
    fn run(
        mut self,
        mut server: Server,
        stopping: &mpsc::Receiver<()>,
        give_up: oneshot::Sender<String>,
    ) -> Option<Server> {
        let mut give_up = Some(give_up);
        loop {
            match stopping.recv_timeout(LOOK_EVERY) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return Some(server),
            }
            let Some(why) = server.ended() else { continue };
            match self.start_again(why) {
                Ok(started) => drop(mem::replace(&mut server, started)),
                Err(reason) => {
                    tracing::error!(%reason, "the private postgresql is given up");
                    if let Some(give_up) = give_up.take() {
                        let _ = give_up.send(reason);
                    }
                    return None;
                }
            }
        }
    }

    /// Starts a server in place of the one that died.
    fn start_again(&mut self, mut why: String) -> Result<Server, String> {
        loop {
            let now = Instant::now();
            self.died.retain(|died| now.duration_since(*died) < PERIOD);
            if self.died.len() >= STARTS {
                return Err(format!(
                    "postgresql died more than {STARTS} times within a minute, at last because: {why}"
                ));
            }
            self.died.push(now);
            tracing::error!(why, "the private postgresql died; it is started again");
            let installation = &self.installation;
            let started =
                cluster::clear(&installation.instance, &installation.sockets.path).and_then(|()| installation.start());
            match started {
                Ok(server) => {
                    self.pid.store(server.pid(), Ordering::Relaxed);
                    return Ok(server);
                }
                Err(error) => why = error.to_string(),
            }
        }
    }
}
