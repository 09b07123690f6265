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
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// How long a server that did not start is left alone.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// A server that dies more often than [`MAX_RESTARTS`] times in this period is given up.
const RESTART_WINDOW: Duration = Duration::from_mins(1);

/// How often the server is started again within [`RESTART_WINDOW`].
const MAX_RESTARTS: usize = 5;

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
    /// Starts a server where nothing of an earlier one is left.
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
    /// When the server died, or did not start, within the last period.
    died: Vec<Instant>,
}

impl Watch {
    /// Looks after the server until it is told to stop, or gives up. Gives the server that runs then.
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
                    format!("postgresql died more than {MAX_RESTARTS} times within a minute, at last because: {why}");
                tracing::error!(reason, "the private postgresql is given up");
                let _ = give_up.send(reason);
                return None;
            }
            tracing::error!(why, "the private postgresql died; it is started again");
            server = self.start().map_err(|error| error.to_string());
        }
    }

    /// Counts another death. Gives whether that is one too many.
    fn is_too_often(&mut self) -> bool {
        let now = Instant::now();
        self.died.retain(|died| now.duration_since(*died) < RESTART_WINDOW);
        self.died.push(now);
        self.died.len() > MAX_RESTARTS
    }

    fn start(&self) -> Result<Server, StartError> {
        let Installation { instance, sockets, .. } = &*self.installation;
        cluster::clear(instance, &sockets.path)?;
        let server = self.installation.start()?;
        self.pid.store(server.pid(), Ordering::Relaxed);
        Ok(server)
    }
}
