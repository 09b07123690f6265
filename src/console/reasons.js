// Why an access code is in its state, and what happens next: sentences for people, from what the server says.

import { duration, instant, plural, relative, STEPS } from "./format.js"

/** Texts for errors of a code or its lock, each with a way out. */
const ERRORS = {
  device_offline: ["The lock is offline.", "Nothing is sent to it until it is online again: switch it online on its page."],
  device_disconnected: ["The lock is offline.", "Nothing is sent to it until it is online again: switch it online on its page."],
  hub_disconnected: ["The hub of the lock is offline.", "Connect the hub on the page of the lock."],
  bridge_disconnected: ["The bridge of the lock is offline.", "`/_emulator/devices/update` of the control plane removes this error (`errors`)."],
  account_disconnected: ["The account of the lock is disconnected.", "Connect the account on the page of the lock, or by a connect webview."],
  device_removed: ["The lock was removed from its account.", "Add it again on its page."],
  missing_device_credentials: ["The lock lacks credentials.", "`/_emulator/devices/update` of the control plane removes this error (`errors`)."],
  subscription_required: ["The subscription of the lock has expired.", "Switch “Subscription expired” off on the page of the lock."],
  no_space_for_access_code_on_device: ["The memory of the lock is full.", "Delete another access code, or raise the capacity on the page of the lock. Then the lock is programmed at once."],
  duplicate_code_on_device: ["The lock already stores this PIN.", "Delete the other access code, or change one of the two PINs. Then the lock is programmed at once."],
  code_constraints_violated: ["The PIN breaks a rule of the lock.", "Change the PIN. There is no retry before."],
  conflicting_external_modification: ["The code was changed or removed at the lock.", "Seam sets it again."],
}

/** Returns why a code is not set: sentences, the most important first. Empty if nothing is unusual. */
export function reasons(code, { faults, now, isHeld }) {
  const found = []
  if (code.gone_at) return [{ text: `The access code is gone since ${instant(code.gone_at)}: it was deleted, or its time frame has ended.` }]
  const { operation } = code
  if (operation?.fault_outcome) found.push(ofOutcome(operation))
  for (const error of code.errors) found.push(ofError(error, code))
  for (const fault of faults) if (hits(fault, code)) found.push(ofFault(fault))
  if (code.status === "unset") found.push(...notYet(code, now))
  if (operation?.started_at && !operation.fault_outcome) {
    // Without such a step the workspace has no duration of lock operations.
    const endsByItself = code.next_step?.step === "finish_operation" || code.is_waiting_for_code_assignment
    const byHand = endsByItself ? "" : " In this workspace it ends only by hand: use “Finish the operation”."
    found.push({ text: `The lock is busy with the operation “${operation.type}” since ${instant(operation.started_at)}.${byHand}` })
  }
  if (code.is_waiting_for_code_assignment) found.push({ text: "The provider has not assigned the PIN yet." })
  const next = code.next_step
  if (isHeld && next && Date.parse(next.due_at) > now && code.status !== "set") {
    found.push({ text: `The clock is held, so the next step does not happen by itself: ${STEPS[next.step]} ${relative(next.due_at, now)}. Move the clock.` })
  }
  return found
}

function ofError(error, code) {
  const [text, wayOut] = ERRORS[error.error_code] ?? [error.message, ""]
  const other = error.managed_access_code_id ?? error.unmanaged_access_code_id
  const { operation } = code
  const attempts = operation?.failed_attempts ? ` ${plural(operation.failed_attempts, "attempt")} failed.` : ""
  const last = error.is_access_code_error && operation?.started_at ? "Until the attempt in progress ends: " : ""
  return { text: `${last}${text}${attempts} ${wayOut}`.trim(), code: error.error_code, other, isError: true }
}

function ofOutcome({ fault_outcome: outcome, type }) {
  const operation = `the operation “${type}”`
  if (outcome === "never") return { text: `A fault keeps ${operation} from ever ending. Delete the fault in “Faults”, if it is still there, and then use “Finish the operation”.`, code: "fault", isError: true }
  if (outcome.delay) return { text: `A fault makes ${operation} take ${outcome.delay}.`, code: "fault", isError: true }
  return { text: `A fault makes ${operation} fail.`, code: "fault", isError: true }
}

/** Returns true if a fault applies to the next operation of a code. */
function hits(fault, code) {
  const operation = code.operation?.type ?? (code.held ? undefined : "set")
  return !fault.is_exhausted && fault.operation === operation && !code.operation?.started_at
    && (fault.device_id === null || fault.device_id === code.device_id)
    && (fault.device_type === null || fault.device_type === code.device_type)
}

function ofFault(fault) {
  const outcome = fault.outcome === "never" ? "never ends" : fault.outcome.delay ? `takes ${fault.outcome.delay}` : "fails"
  return { text: `A fault waits for the next operation “${fault.operation}”: it ${outcome}. See “Faults”.`, code: "fault", isError: true }
}

function notYet(code, now) {
  const startsAt = Date.parse(code.starts_at)
  const programmingAt = Date.parse(code.programming_due_at)
  if (code.held && startsAt > now) {
    return [{ text: `It is not yet time: the lock stores the code, and its time frame starts ${relative(code.starts_at, now)}, at ${instant(code.starts_at)}.` }]
  }
  if (!code.held && programmingAt > now) {
    const lead = duration(startsAt - programmingAt)
    return [{ text: `It is not yet time: the lock is programmed ${lead} before the time frame starts, which is ${relative(code.programming_due_at, now)}, at ${instant(code.programming_due_at)}.` }]
  }
  return []
}

/** Returns one sentence for the state of a code. */
export function headline(code) {
  if (code.gone_at) return "This access code is gone."
  switch (code.status) {
    case "set": return "The access code is set: it opens the door now."
    case "setting": return "The access code should be usable, but the lock has not confirmed it yet."
    case "removing": return "The access code is being removed from the lock."
    case "unset": return code.held ? "The lock stores the access code, but it does not open the door now." : "The access code is not on the lock."
    default: return "The account is disconnected, so the state on the lock is unknown."
  }
}
