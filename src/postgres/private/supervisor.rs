//! Supervisor that restarts the server when it dies.

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

/// Interval between two checks of the server.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Pause after a failed start of the server.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// Period in which deaths are counted. A server that dies more than [`MAX_RESTARTS`] times within it is not restarted.
const RESTART_WINDOW: Duration = Duration::from_mins(1);

/// Maximum number of restarts within [`RESTART_WINDOW`].
const MAX_RESTARTS: usize = 5;

/// Resources that a server is started from, used again for each restart.
#[derive(Debug)]
pub(super) struct Installation {
    // Fields are dropped in this order: the lock of the directory must be released last.
    pub(super) sockets: SocketDirectory,
    pub(super) instance: Instance,
    pub(super) programs: Programs,
    pub(super) durability: Durability,
}

impl Installation {
    /// Starts a server. Processes and lock files of an earlier server must have been removed.
    pub(super) fn start(&self) -> Result<Server, StartError> {
        Server::start(&self.instance, &self.programs, &self.sockets, self.durability)
    }
}

/// Thread that watches the server and restarts it, until it receives the stop message.
#[derive(Debug)]
pub(super) struct Supervisor {
    pid: Arc<AtomicU32>,
    stop: mpsc::Sender<()>,
    thread: Option<JoinHandle<Option<Server>>>,
    failure_receiver: Option<oneshot::Receiver<String>>,
}

impl Supervisor {
    /// Starts the thread for a running server.
    pub(super) fn of(server: Server, installation: Arc<Installation>) -> io::Result<Self> {
        let pid = Arc::new(AtomicU32::new(server.pid()));
        let (stop, stopping) = mpsc::channel();
        let (give_up, reason) = oneshot::channel();
        let watch = Watch { installation, pid: Arc::clone(&pid), died: Vec::new() };
        let thread = thread::Builder::new()
            .name("postgres supervisor".to_owned())
            .spawn(move || watch.run(server, &stopping, give_up))?;
        Ok(Self { pid, stop, thread: Some(thread), failure_receiver: Some(reason) })
    }

    /// Returns the process id of the running server, or of the last one.
    pub(super) fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    /// Returns the receiver of the reason why the server is not restarted any more; `None` from the second call on.
    pub(super) fn failure_receiver(&mut self) -> Option<oneshot::Receiver<String>> {
        self.failure_receiver.take()
    }

    /// Stops the thread and the server.
    pub(super) fn stop(&mut self) -> io::Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // The thread may have ended by itself; sending then fails.
        let _ = self.stop.send(());
        match thread.join() {
            Ok(Some(mut server)) => server.stop(),
            Ok(None) => Ok(()),
            Err(_) => Err(io::Error::other("the thread that supervises postgresql panicked")),
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
    /// Instants within the last [`RESTART_WINDOW`] at which the server died or failed to start.
    died: Vec<Instant>,
}

impl Watch {
    /// Watches the server and restarts it, until the stop message arrives or the server has died too often. Returns the
    /// server that is running then.
    fn run(
        mut self,
        server: Server,
        stopping: &mpsc::Receiver<()>,
        give_up: oneshot::Sender<String>,
    ) -> Option<Server> {
        let mut server = Ok(server);
        loop {
            let pause = if server.is_ok() { CHECK_INTERVAL } else { RESTART_DELAY };
            match stopping.recv_timeout(pause) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return server.ok(),
            }
            let why = match &mut server {
                Ok(server) => server.ended(),
                Err(why) => Some(mem::take(why)),
            };
            let Some(why) = why else { continue };
            if self.is_too_often() {
                let reason =
                    format!("postgresql died more than {MAX_RESTARTS} times within a minute, last because: {why}");
                tracing::error!(reason, "the private postgresql keeps dying; giving up");
                let _ = give_up.send(reason);
                return None;
            }
            tracing::error!(why, "the private postgresql died; restarting it");
            server = self.start().map_err(|error| error.to_string());
        }
    }

    /// Counts one more death. Returns true if the server died too often.
    fn is_too_often(&mut self) -> bool {
        let now = Instant::now();
        self.died.retain(|died| now.duration_since(*died) < RESTART_WINDOW);
        self.died.push(now);
        self.died.len() > MAX_RESTARTS
    }

    /// Removes what the dead server left behind, and starts a new one.
    fn start(&self) -> Result<Server, StartError> {
        let Installation { instance, sockets, .. } = &*self.installation;
        cluster::clear(instance, &sockets.path)?;
        let server = self.installation.start()?;
        self.pid.store(server.pid(), Ordering::Relaxed);
        Ok(server)
    }
}
