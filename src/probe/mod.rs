//! Comparison of Latchkey with the real service: `latchkey probe` sends the same requests to both, and reports what
//! differs.
//!
//! A [`script`] says which requests. A [`runner`] sends them to one side, and deletes what it has created. The results
//! are compared as [`shapes`]: keys, types and kinds of values. The [`report`] contains nothing private.

mod cleanup;
mod client;
mod compare;
mod limits;
mod locks;
mod progress;
mod report;
mod runner;
mod script;
mod shapes;
mod side;
mod vocabulary;

pub(crate) use self::report::Report;
pub(crate) use self::script::ScriptError;

use self::client::{Client, RequestError, check_url, sleep};
use self::compare::Comparison;
use self::locks::Lock;
use self::progress::Progress;
use self::report::About;
use self::runner::plan;
use self::script::{Request, Script, Variables, values_at};
use self::side::{Marks, Pending, Side};
use self::vocabulary::BuiltInError;
use crate::config::{Probe, SEAM_URL};
use crate::ids::random_id;
use crate::stop::Stop;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// An id that no object has.
const UNKNOWN_ID: &str = "99999999-9999-4999-8999-999999999999";

/// Lifetime of the workspace in Latchkey.
const WORKSPACE_LIFETIME: &str = "PT1H";

/// Time between two checks whether Latchkey has filled a pool of backup codes, and their number.
const POOL_CHECK_INTERVAL: Duration = Duration::from_millis(200);
const MAX_POOL_CHECKS: usize = 50;

/// Reason why a probe could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The address is wrong.
    #[error("{0}")]
    Address(String),
    /// The script is wrong.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The script cannot be read.
    #[error("cannot read the script {}: {cause}", file.display())]
    Unreadable {
        /// Path of the file.
        file: PathBuf,
        /// Error of the operating system.
        cause: io::Error,
    },
    /// The report cannot be written.
    #[error("cannot write the report {}: there is no such folder", .0.display())]
    Unwritable(PathBuf),
    /// A side does not respond as it must.
    #[error("{0}")]
    Unusable(String),
    /// The workspace is not a sandbox.
    #[error("the workspace of this key is not a sandbox: nothing was changed. Give the key of a sandbox workspace")]
    NotASandbox,
    /// There are no locks to probe.
    #[error(
        "the workspace has no lock that is online, without errors, and can have access codes. Connect one of Seam's \
         sandbox accounts, or give --device-id"
    )]
    NoLocks,
    /// A lock of `--device-id` cannot be used.
    #[error("the lock {0} cannot be used: {1}")]
    Lock(String, String),
    /// The probe was interrupted.
    #[error("interrupted; {0}")]
    Interrupted(Left),
    /// A server hangs.
    #[error("{0} has not responded to the last requests; {1}")]
    Silent(&'static str, Left),
    /// The program was built with invalid data.
    #[error(transparent)]
    BuiltIn(#[from] BuiltInError),
    /// The client cannot be created.
    #[error("cannot create the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// Whether something of the probe is left in the workspace.
#[derive(Clone, Copy, Debug)]
pub struct Left(bool);

impl std::fmt::Display for Left {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text =
            if self.0 { "what may be left in the workspace is named above" } else { "nothing of the probe is left" };
        formatter.write_str(text)
    }
}

type Result<T, E = ProbeError> = std::result::Result<T, E>;

/// A workspace that can be probed, and what to do with it.
#[derive(Debug)]
pub(crate) struct Target {
    script: Script,
    side: Side,
    is_seam: bool,
    /// Names and other texts that no message may show.
    private: Vec<Value>,
}

impl Target {
    /// Checks the options, the workspace and its locks. Changes nothing.
    ///
    /// # Errors
    /// A [`ProbeError`].
    pub(crate) async fn connect(options: &Probe, stop: &CancellationToken) -> Result<Self> {
        if let Some(report) = &options.report
            && !report.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir())
        {
            return Err(ProbeError::Unwritable(report.clone()));
        }
        let script = match &options.script {
            None => Script::included()?,
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|cause| ProbeError::Unreadable { file: file.clone(), cause })?;
                Script::parse(&file.display().to_string(), &text)?
            }
        };
        let url = check_url(&options.against).map_err(ProbeError::Address)?;
        let run = random_id().simple().to_string();
        let number = usize::from_str_radix(&run[..4], 16).unwrap_or_default();
        let client = Client::new(&url, &options.api_key, url.starts_with("https"))?;
        let workspace = ask(&client, "/workspaces/get", json!({}), stop).await.map_err(|error| match error {
            ProbeError::Unusable(reason) => {
                ProbeError::Unusable(format!("{reason}. Check --api-key (or SEAM_API_KEY) and --against"))
            }
            other => other,
        })?;
        if workspace.pointer("/workspace/is_sandbox") != Some(&Value::Bool(true)) {
            return Err(ProbeError::NotASandbox);
        }
        let (locks, private) = find_locks(&client, &options.device_ids, number, stop).await?;
        let long = format!("latchkey probe {}", &run[..4]);
        let name = if locks.iter().all(|lock| lock.accepts_name(&long)) { long } else { format!("lkp {}", &run[..4]) };
        let side = side(client, locks, &Marks::new(&name), &workspace);
        Ok(Self { script, side, is_seam: url == SEAM_URL, private })
    }

    /// Runs the script on both sides at the same time, and compares the results. Latchkey gets a workspace with the same
    /// locks. What is left in the workspace is named on standard error.
    ///
    /// # Errors
    /// A [`ProbeError`].
    pub(crate) async fn compare(self, (url, api_key): (&str, &str), stop: &Stop) -> Result<Report> {
        let latchkey = latchkey_side(url, api_key, &self, &stop.graceful).await?;
        let compared = tokio::select! {
            compared = self.run(&latchkey, &stop.graceful) => compared,
            never = announce_cleanup(&stop.graceful) => match never {},
            () = stop.immediate.cancelled() => Err(ProbeError::Interrupted(self.left())),
        };
        report_left(&self.side.pending.lock());
        compared
    }

    async fn run(&self, latchkey: &Side, stop: &CancellationToken) -> Result<Report> {
        let progress = Progress::new(plan(&self.script, self.side.locks.len()).len());
        let hidden = Progress::hidden();
        // One side that hangs ends both.
        let end = stop.child_token();
        let (seam_run, latchkey_run) =
            tokio::join!(self.side.run(&self.script, &progress, &end), latchkey.run(&self.script, &hidden, &end));
        self.side.delete_leftovers().await;
        progress.finish();
        if stop.is_cancelled() {
            return Err(ProbeError::Interrupted(self.left()));
        }
        for (run, name) in [(&seam_run, "the workspace's server"), (&latchkey_run, "Latchkey's own server")] {
            if run.is_silent() {
                return Err(ProbeError::Silent(name, self.left()));
            }
        }
        let outcomes = seam_run.done.iter().chain(&latchkey_run.done).map(|done| &done.outcome);
        let comparison = Comparison::of(outcomes, self.side.marks.name(), &self.private)?;
        let about = About {
            is_seam: self.is_seam,
            device_types: self.side.locks.iter().map(|lock| lock.device_type.clone()).collect(),
            delayed: self.side.client.delayed(),
        };
        Ok(Report::new(about, &self.script, &comparison, (&seam_run.done, &latchkey_run.done))?)
    }

    fn left(&self) -> Left {
        Left(!self.side.pending.lock().describe().is_empty())
    }
}

/// Says after an interruption that the probe has still something to do. Does not end.
async fn announce_cleanup(stop: &CancellationToken) -> Infallible {
    stop.cancelled().await;
    let text = "interrupted: deleting what the probe has created. Press Ctrl-C again to leave it in the workspace";
    let _ = writeln!(io::stderr(), "latchkey: {text}");
    std::future::pending().await
}

/// Returns a side that has not run yet.
fn side(client: Client, locks: Vec<Lock>, marks: &Marks, workspace: &Value) -> Side {
    let variables = variables(marks, workspace);
    Side { client, locks, variables, marks: marks.clone(), pending: Mutex::default() }
}

/// Returns the values of all placeholders that do not depend on a lock.
fn variables(marks: &Marks, workspace: &Value) -> Variables {
    let mut variables = Variables::default();
    let workspace_id = workspace.pointer("/workspace/workspace_id").and_then(Value::as_str);
    variables.set("workspace_id", workspace_id.unwrap_or_default());
    variables.set("name", marks.name());
    variables.set("key", marks.key());
    variables.set("unknown_id", UNKNOWN_ID);
    variables
}

/// Sends a request that must be successful, and returns its body.
async fn ask(client: &Client, path: &str, body: Value, stop: &CancellationToken) -> Result<Value> {
    let request = Request::post(path, body);
    let response = client.send(&request, stop).await.map_err(|error| match error {
        RequestError::Interrupted => ProbeError::Interrupted(Left(false)),
        RequestError::Failed(reason) => {
            ProbeError::Unusable(format!("no response from {}: {reason}", client.url(&request)))
        }
    })?;
    let message = response.body.as_ref().and_then(|body| body.pointer("/error/message")).and_then(Value::as_str);
    let message = message.map(|message| format!(": {message}")).unwrap_or_default();
    match response.body {
        Some(body) if response.status == 200 => Ok(body),
        _ => Err(ProbeError::Unusable(format!("{path} returned {}{message}", response.status))),
    }
}

/// Returns the locks with these ids, or a choice of the workspace's, and what was seen of the user's meanwhile.
async fn find_locks(
    client: &Client,
    ids: &[String],
    run: usize,
    stop: &CancellationToken,
) -> Result<(Vec<Lock>, Vec<Value>)> {
    let mut private = Vec::new();
    let mut locks = Vec::new();
    if ids.is_empty() {
        let devices = ask(client, "/devices/list", json!({}), stop).await?;
        let read = values_at(&devices, "/devices/*").into_iter().filter_map(|device| Lock::read(device, run));
        locks = locks::choose(read.collect());
        private.push(devices);
        if locks.is_empty() {
            return Err(ProbeError::NoLocks);
        }
    }
    for (number, id) in ids.iter().enumerate() {
        let wrong = |reason: String| ProbeError::Lock(id.clone(), reason);
        if ids.iter().take(number).any(|other| other == id) {
            return Err(wrong("it is given twice".to_owned()));
        }
        let device = ask(client, "/devices/get", json!({ "device_id": id }), stop).await;
        let device = device.map_err(|error| wrong(error.to_string()))?;
        let lock = device.get("device").and_then(|device| Lock::read(device, run));
        let lock = lock.ok_or_else(|| wrong("the response has no device".to_owned()))?;
        if !lock.is_known() {
            return Err(wrong(format!("Latchkey has no locks of the type {}", lock.device_type)));
        }
        if !lock.is_online() {
            return Err(wrong("it is not online".to_owned()));
        }
        locks.push(lock);
        private.push(device);
    }
    for lock in &mut locks {
        let mut codes = Vec::new();
        for path in ["/access_codes/list", "/access_codes/unmanaged/list"] {
            // Messages may name a code of the lock. A server without these lists has none to name.
            codes.extend(ask(client, path, json!({ "device_id": lock.device_id }), stop).await.ok());
        }
        let used: Vec<&str> =
            codes.iter().flat_map(|list| values_at(list, "/access_codes/*/code")).filter_map(Value::as_str).collect();
        lock.avoid_pins(&used);
        private.extend(codes);
    }
    Ok((locks, private))
}

/// Creates a workspace in Latchkey with the same locks.
async fn latchkey_side(url: &str, api_key: &str, target: &Target, stop: &CancellationToken) -> Result<Side> {
    let owner = Client::new(url, api_key, false)?;
    let specifications = target.side.locks.iter().enumerate().map(|(number, lock)| lock.specification(number));
    let locks: Vec<Value> = specifications.collect();
    let body = json!({ "name": "Probe", "ttl": WORKSPACE_LIFETIME, "clock": "live", "locks": locks });
    let created = ask(&owner, "/_emulator/workspaces/create", body, stop).await?;
    let api_key = created.get("api_key").and_then(Value::as_str).unwrap_or_default();
    let client = Client::new(url, api_key, false)?;
    let mut locks = Vec::new();
    for (created, seam) in values_at(&created, "/devices/*/device_id").into_iter().zip(&target.side.locks) {
        let device = ask(&client, "/devices/get", json!({ "device_id": created }), stop).await?;
        let lock = device.get("device").and_then(|device| Lock::read(device, 0));
        let lock = lock.ok_or_else(|| ProbeError::Unusable("Latchkey has not created the locks".to_owned()))?;
        if seam.has_backup_pool() {
            enable_backup_pool(&client, created, stop).await?;
        }
        // The PINs are the same on both sides.
        locks.push(seam.with_ids_of(&lock));
    }
    Ok(side(client, locks, &target.side.marks, &created))
}

/// Enables the pool of backup codes of a lock in Latchkey, and waits until it is full: until then the lock has an error.
/// If Latchkey refuses it or takes too long, the report shows the difference.
async fn enable_backup_pool(client: &Client, device_id: &Value, stop: &CancellationToken) -> Result<()> {
    let enable = json!({ "device_id": device_id, "backup_access_code_pool_enabled": true });
    if let Err(ProbeError::Unusable(_)) = ask(client, "/devices/update", enable, stop).await {
        return Ok(());
    }
    for _ in 0..MAX_POOL_CHECKS {
        let device = ask(client, "/devices/get", json!({ "device_id": device_id }), stop).await?;
        if values_at(&device, "/device/errors/*").is_empty() || sleep(POOL_CHECK_INTERVAL, stop).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Tells the user what is left in the workspace.
fn report_left(pending: &Pending) {
    for left in pending.describe() {
        let _ = writeln!(io::stderr(), "latchkey: {left}");
    }
}
