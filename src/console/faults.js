// Faults of locks, and faults of requests.

import { dangerButton, field, form, h, keyed, table } from "./dom.js"
import { plural } from "./format.js"
import { listDevices, nameOf } from "./locks.js"

const OPERATIONS = ["set", "update", "remove", "refill", "lock", "unlock"]
const METHODS = [["", "all"], "GET", "POST", "PUT", "PATCH", "DELETE"]

export async function faults({ session, signal }) {
  const { devices } = await listDevices(session)
  const names = new Map(devices.map((device) => [device.device_id, nameOf(device)]))
  const ofLocks = table("Faults of locks", ["Operation", "Locks", "Outcome", "Applied", "Actions"])
  const ofRequests = table("Faults of requests", ["Path", "Method", "Outcome", "Applied", "Actions"])
  const refresh = session.onChange(async () => {
    const [{ faults: found }, { http_faults: requests }] = await Promise.all([session.inspect("faults/list"), session.inspect("http_faults/list")])
    ofLocks.element.hidden = found.length === 0
    ofRequests.element.hidden = requests.length === 0
    keyed(ofLocks.body, found, (one) => one.fault_id, (one) => fault(session, one, names))
    keyed(ofRequests.body, requests, (one) => one.http_fault_id, (one) => httpFault(session, one))
  }, signal)
  await refresh.run()
  return [h("h1", {}, "Faults"),
    h("section", { "aria-labelledby": "of-locks" }, h("h2", { id: "of-locks" }, "Faults of locks"),
      h("p", {}, "Operations of locks fail, take longer, or never end."), createFault(session, devices), ofLocks.element),
    h("section", { "aria-labelledby": "of-requests" }, h("h2", { id: "of-requests" }, "Faults of requests"),
      h("p", {}, "Requests to the API fail, take longer, or lose their connection. What this page reads is not affected, but what you do in it is."), createHttpFault(session), ofRequests.element)]
}

function outcomeText(outcome) {
  if (typeof outcome === "string") return outcome === "never" ? "never ends" : "connection reset"
  if (outcome.delay) return `takes ${outcome.delay}`
  if (outcome.status) return `status ${outcome.status}`
  return `fails${outcome.fail.error_code ? `: ${outcome.fail.error_code}` : ""}`
}

function applied(one) {
  const limit = one.times === null ? "times, no limit" : `of ${plural(one.times, "time")}`
  return h("td", {}, `${one.used} ${limit}`, one.is_exhausted && h("span", { class: "hint" }, " (exhausted)"))
}

function fault(session, one, names) {
  const where = one.device_id ? names.get(one.device_id) ?? one.device_id : one.device_type ?? "all locks"
  return h("tr", {}, h("th", { scope: "row" }, one.operation), h("td", {}, where), h("td", {}, outcomeText(one.outcome)), applied(one),
    h("td", { class: "actions" }, dangerButton("Delete", "Really delete?", async () => {
      await session.control("faults/delete", { fault_id: one.fault_id })
      return "The fault was deleted."
    })))
}

function httpFault(session, one) {
  return h("tr", {}, h("th", { scope: "row" }, one.path ?? "all paths"), h("td", {}, one.method ?? "all"), h("td", {}, outcomeText(one.outcome)), applied(one),
    h("td", { class: "actions" }, dangerButton("Delete", "Really delete?", async () => {
      await session.control("http_faults/delete", { http_fault_id: one.http_fault_id })
      return "The fault was deleted."
    })))
}

function createFault(session, devices) {
  return form("Create a fault of locks", "Create the fault", async ({ operation, device_id, outcome, delay, times }) => {
    const chosen = { fail: { fail: {} }, delay: { delay: delay ?? "PT5M" }, never: "never" }[outcome]
    await session.control("faults/create", { operation, outcome: chosen, ...(device_id && { device_id }), ...(times && { times: Number(times) }) })
    return "The fault was created."
  }, h("div", { class: "row" }, field("Operation", "operation", { value: "set" }, OPERATIONS),
    field("Lock", "device_id", { value: "" }, [["", "all locks"], ...devices.map((device) => [device.device_id, nameOf(device)])]),
    field("Outcome", "outcome", { value: "fail" }, [["fail", "fails"], ["delay", "takes longer"], ["never", "never ends"]]),
    field("Duration, if it takes longer", "delay", { placeholder: "PT5M" }), field("Times (empty: always)", "times", { type: "number", min: "1", value: "1" })))
}

function createHttpFault(session) {
  return form("Create a fault of requests", "Create the HTTP fault", async ({ path, method, outcome, times }) => {
    const chosen = outcome === "reset" ? "reset" : outcome === "delay" ? { delay: "PT2S" } : { status: Number(outcome) }
    await session.control("http_faults/create", { outcome: chosen, ...(path && { path }), ...(method && { method }), ...(times && { times: Number(times) }) })
    return "The HTTP fault was created."
  }, h("div", { class: "row" }, field("Path (empty: all; * at the end)", "path", { placeholder: "/access_codes/*" }), field("Method", "method", { value: "" }, METHODS),
    field("Outcome", "outcome", { value: "503" }, [["503", "status 503"], ["500", "status 500"], ["429", "status 429"], ["delay", "takes 2 s"], ["reset", "connection reset"]]),
    field("Times (empty: always)", "times", { type: "number", min: "1", value: "1" })))
}
