//! `/_emulator/access_codes/list` and `count`: the codes on some devices, with what each lock stores and the next step.

use super::super::Control;
use super::super::locks::HeldEntry;
use crate::api::body::access_code::managed_or_unmanaged;
use crate::clock::{Timestamp, iso};
use crate::compute;
use crate::domain::access_code::AccessCode;
use crate::domain::access_code::lifecycle::{FaultOutcome, Lock, Operation, Step};
use crate::domain::access_grant::{MethodCode, Progress};
use crate::domain::caller::Visibility;
use crate::domain::device::{Device, DeviceSummary};
use crate::domain::keypad;
use crate::engine::app::App;
use crate::error::{Error, Result};
use crate::http::params::optional_instant;
use crate::store::access_codes::{self, Filter};
use crate::store::{Ownership, access_grants, devices, workspaces};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Default number of codes in a list.
const DEFAULT_LIMIT: usize = 500;

/// Number of codes that are converted at a time, in about a millisecond.
const CHUNK: usize = 100;

#[derive(Deserialize)]
pub(in crate::control) struct List {
    device_ids: Option<Vec<Uuid>>,
    access_code_ids: Option<Vec<Uuid>>,
    access_grant_id: Option<Uuid>,
    from: Option<String>,
    to: Option<String>,
    limit: Option<f64>,
}

#[derive(Serialize)]
pub(in crate::control) struct Listed {
    access_codes: Vec<ListedCode>,
    has_more: bool,
}

/// Seam's object, and what it does not contain.
#[derive(Serialize)]
struct ListedCode {
    #[serde(flatten)]
    access_code: Value,
    /// Entry in the memory of the lock.
    held: Option<HeldEntry>,
    #[serde(with = "iso::option")]
    first_held_at: Option<Timestamp>,
    /// `None` for an unmanaged code.
    #[serde(with = "iso::option")]
    programming_due_at: Option<Timestamp>,
    operation: Option<OperationBody>,
    next_step: Option<NextStep>,
    #[serde(with = "iso::option")]
    gone_at: Option<Timestamp>,
    /// `None`: the code belongs to no access method, or the access method is gone.
    access_grant_id: Option<Uuid>,
    access_method_id: Option<Uuid>,
    /// True if the guest can rely on the code; false if its access method waits for it. `None` if the access method does
    /// not depend on it.
    is_ready_to_issue: Option<bool>,
}

/// Operation that the lock performs, or must perform to reach the requested state.
#[derive(Serialize)]
struct OperationBody {
    r#type: Operation,
    #[serde(with = "iso")]
    due_at: Timestamp,
    #[serde(with = "iso::option")]
    started_at: Option<Timestamp>,
    /// Outcome that a fault has given to the operation in progress.
    fault_outcome: Option<FaultOutcome>,
    failed_attempts: u32,
    /// True if there is no retry before the code is changed.
    is_failure_final: bool,
}

#[derive(Serialize)]
struct NextStep {
    step: &'static str,
    #[serde(with = "iso")]
    due_at: Timestamp,
}

/// What the codes of a list depend on.
struct Surroundings {
    /// Device of each code, with the properties that determine the steps of its codes.
    locks: HashMap<Uuid, (Device, Lock)>,
    /// Access grant of each access method.
    grants: HashMap<Uuid, Uuid>,
}

/// Lists the codes on some devices, those with some ids, or those of an access grant, newest first.
pub(in crate::control) async fn list(call: Control<List>) -> Result<Listed> {
    let visibility = Visibility::all_of(call.workspace().await?.workspace_id);
    let List { device_ids, access_code_ids, access_grant_id, from, to, limit } = &call.input;
    if device_ids.is_none() && access_code_ids.is_none() && access_grant_id.is_none() {
        return Err(Error::invalid_request("One of 'device_ids', 'access_code_ids', 'access_grant_id' is required"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the contract limits it")]
    let limit = limit.map_or(DEFAULT_LIMIT, |limit| limit as usize);
    let filter = Filter {
        device_ids: device_ids.as_deref(),
        access_code_ids: access_code_ids.as_deref(),
        access_grant_id: *access_grant_id,
        starts_before: optional_instant("to", to.as_deref())?,
        ends_after: optional_instant("from", from.as_deref())?,
        ownership: Ownership::Any,
        // A code that is gone is found only by its id.
        include_gone: access_code_ids.is_some(),
        limit: i64::try_from(limit + 1).ok(),
        ..Filter::default()
    };
    let mut found = access_codes::list(&call.app.pool, &visibility, &filter).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let method_ids: Vec<Uuid> = found.iter().filter_map(|(code, _)| code.access_method_id).collect();
    let surroundings = Surroundings {
        locks: locks(&call.app, &visibility, &found).await?,
        grants: access_grants::grants_of_methods(&call.app.pool, visibility.workspace_id, &method_ids).await?,
    };
    let mut access_codes = Vec::with_capacity(found.len());
    for chunk in found.chunks(CHUNK) {
        let convert = || chunk.iter().filter_map(|(code, summary)| listed(code, summary, &surroundings).transpose());
        let converted = compute::sized(found.len() > CHUNK, || convert().collect::<Result<Vec<_>>>()).await?;
        access_codes.extend(converted);
    }
    Ok(Listed { access_codes, has_more })
}

/// Returns the devices of the codes, each with the properties that determine the steps of its codes.
async fn locks(
    app: &App,
    visibility: &Visibility,
    codes: &[(AccessCode, DeviceSummary)],
) -> Result<HashMap<Uuid, (Device, Lock)>> {
    let mut ids: Vec<Uuid> = codes.iter().map(|(code, _)| code.device_id).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let workspace_id = visibility.workspace_id;
    let settings = app.pool.read(workspace_id, |connection| Box::pin(workspaces::settings(connection, workspace_id)));
    let (_, settings) = settings.await?;
    let filter = devices::Filter { device_ids: Some(&ids), ownership: Ownership::Any, ..devices::Filter::default() };
    let devices = devices::list(&app.pool, visibility, &filter).await?;
    let with_lock = |device: Device| {
        let lock = device.lock(&settings);
        (device.device_id, (device, lock))
    };
    Ok(devices.into_iter().map(with_lock).collect())
}

/// Returns the code as it is listed; `None` if its device was deleted meanwhile.
fn listed(
    code: &AccessCode,
    summary: &DeviceSummary,
    Surroundings { locks, grants }: &Surroundings,
) -> Result<Option<ListedCode>> {
    let Some((device, lock)) = locks.get(&code.device_id) else { return Ok(None) };
    let progress = MethodCode::of(code, device.reachable_since.is_some()).map(|of_method| of_method.progress);
    let state = &code.state;
    let failure = state.rare_fields.failure.as_ref();
    let operation = state.required_operation().map(|(operation, due_at)| OperationBody {
        r#type: operation,
        due_at,
        started_at: state.operation_started_at,
        fault_outcome: state.rare_fields.injected_outcome.clone(),
        failed_attempts: failure.map_or(0, |failure| failure.attempts),
        is_failure_final: failure.is_some_and(|failure| failure.is_final),
    });
    Ok(Some(ListedCode {
        access_code: managed_or_unmanaged(code, summary)?,
        held: keypad::effective_entry(code, device).map(HeldEntry::from),
        first_held_at: state.first_held_at,
        programming_due_at: state.is_managed.then(|| state.programming_due_at()),
        operation,
        next_step: state.next(lock).map(|(due_at, step)| NextStep { step: step_name(step), due_at }),
        gone_at: state.gone_at,
        access_grant_id: code.access_method_id.and_then(|id| grants.get(&id).copied()),
        access_method_id: code.access_method_id,
        is_ready_to_issue: progress.filter(|progress| *progress != Progress::Over).map(|it| it == Progress::Ready),
    }))
}

fn step_name(step: Step) -> &'static str {
    match step {
        Step::Expire => "expire",
        Step::Start => "start",
        Step::ProgrammingDue => "programming_due",
        Step::Assign => "assign_code",
        Step::Begin => "begin_operation",
        Step::Confirm => "finish_operation",
        Step::Slow => "report_delay",
        Step::ReportLateIssuance => "report_late_issuance",
    }
}

#[derive(Deserialize)]
pub(in crate::control) struct Count {
    device_ids: Vec<Uuid>,
}

#[derive(Serialize)]
pub(in crate::control) struct Counted {
    counts: Vec<DeviceCount>,
}

/// Numbers of codes on one device.
#[derive(Serialize)]
struct DeviceCount {
    device_id: Uuid,
    /// Number of managed codes by status, without backup codes in the pool. A status that no code has is missing.
    by_status: BTreeMap<String, u32>,
    unmanaged: u32,
    /// Number of codes with an error of their own.
    with_errors: u32,
}

/// Counts the codes on some devices by status. Devices without codes are left out.
pub(in crate::control) async fn count(call: Control<Count>) -> Result<Counted> {
    let visibility = Visibility::all_of(call.workspace().await?.workspace_id);
    let filter = Filter {
        device_ids: Some(&call.input.device_ids),
        ownership: Ownership::Any,
        exclude_pool: true,
        ..Filter::default()
    };
    let init = BTreeMap::<Uuid, DeviceCount>::new;
    let add = |counts: &mut BTreeMap<Uuid, DeviceCount>, code: AccessCode, device: DeviceSummary| {
        let device_id = code.device_id;
        let count = counts.entry(device_id).or_insert_with(|| DeviceCount {
            device_id,
            by_status: BTreeMap::new(),
            unmanaged: 0,
            with_errors: 0,
        });
        count.with_errors += u32::from(code.has_own_errors());
        if code.state.is_managed {
            let status = serde_json::to_value(code.status(&device))?;
            *count.by_status.entry(status.as_str().unwrap_or_default().to_owned()).or_default() += 1;
        } else {
            count.unmanaged += 1;
        }
        Ok(())
    };
    let counts = access_codes::fold(&call.app.pool, &visibility, (None, &filter), init, add).await?;
    Ok(Counted { counts: counts.unwrap_or_default().into_values().collect() })
}
