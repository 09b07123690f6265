// One lock: what was asked for and what its memory holds, side by side, and what people and testers can do to it.

import { ApiError } from "./api.js"
import { fromField } from "./clock.js"
import { attempt, button, dangerButton, field, form, h, keyed, sections, setText, table } from "./dom.js"
import { relative, STEPS, timeFrame, words } from "./format.js"
import { battery, listDevices, nameOf } from "./locks.js"

/** Number of access codes that the page shows. */
const LIMIT = 300

export async function lock({ session, item: device_id, signal }) {
  const heading = h("h1", {})
  const facts = h("div", {})
  const list = codesTable()
  const note = h("p", { class: "hint", role: "status" })
  const trouble = h("div", {})
  const refresh = session.onChange(async () => {
    const { devices: [device] } = await listDevices(session, { device_ids: [device_id] })
    if (!device) throw new ApiError("This lock does not exist, or it was deleted.", 404)
    const { access_codes: codes, has_more: hasMore } = await session.inspect("access_codes/list", { device_ids: [device_id], limit: LIMIT })
    setText(heading, nameOf(device))
    sections(facts, [["facts", device, factsOf]])
    list.element.hidden = codes.length === 0
    setText(note, codes.length === 0 ? "No access codes yet." : hasMore ? `The newest ${LIMIT} access codes.` : "")
    const items = codes.map((code) => ({ code, next: nextOf(code, session.now()) }))
    keyed(list.body, items, ({ code }) => code.access_code_id, (item) => row(session, item))
    const { max_active_codes_supported: capacity, battery_level: level } = device.properties
    sections(trouble, [["switches", device, (shown) => switches(session, shown)], ["numbers", { capacity, level }, (values) => numbers(session, device_id, values)]])
  }, signal)
  await refresh.run()
  return [
    h("p", {}, h("a", { href: `#/w/${session.id}/locks` }, "All locks"), " · ", h("a", { href: `#/w/${session.id}/timeline?lock=${device_id}` }, "Time line of this lock")),
    heading, facts,
    h("section", { "aria-labelledby": "codes" }, h("h2", { id: "codes" }, "Access codes: asked for, and in the lock’s memory"), note, list.element, createCode(session, device_id)),
    h("section", { "aria-labelledby": "door" }, h("h2", { id: "door" }, "At the door"), atTheDoor(session, device_id)),
    h("section", { "aria-labelledby": "trouble" }, h("h2", { id: "trouble" }, "Trouble"), trouble, nextOperations(session, device_id)),
  ]
}

function factsOf(device) {
  const { properties } = device
  const facts = [
    ["Type", words(device.device_type)],
    ["Connection", properties.online ? "online" : "offline"],
    ["Bolt", properties.locked === true ? "locked" : properties.locked === false ? "unlocked" : "unknown"],
    ["Battery", battery(device) ?? "none"],
    ["PIN lengths", properties.supported_code_lengths?.join(", ")],
    ["Capacity", properties.max_active_codes_supported],
    ["Device id", h("code", { class: "id" }, device.device_id)],
  ].filter(([, value]) => value !== undefined && value !== null)
  const problems = [...device.errors, ...device.warnings].map((one) => h("li", {}, h("strong", {}, one.error_code ?? one.warning_code), ` ${one.message}`))
  return [
    h("dl", { class: "facts" }, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    problems.length > 0 && h("ul", { class: "problems" }, problems),
  ]
}

function codesTable() {
  return table("Access codes", ["Access code", "Status", "PIN asked for", "PIN on the lock", "Time frame asked for", "Time frame on the lock", "Next", "At the lock"])
}

/** Cell of a value on the lock. It is marked if it differs from what was asked for. */
function heldCell(held, asked, isManaged) {
  if (held === undefined) return h("td", { class: "hint" }, "–")
  return h("td", {}, held === asked || !isManaged ? held : h("mark", {}, held, h("span", { class: "hidden" }, " (differs)")))
}

function nextOf({ next_step: next, operation }, now) {
  if (next) return `${STEPS[next.step]} ${relative(next.due_at, now)}`
  return operation?.started_at ? "the operation does not end by itself" : "nothing"
}

function row(session, { code, next }) {
  const { held } = code
  const frame = timeFrame(code.starts_at, code.ends_at)
  const name = code.name ?? "(no name)"
  const errors = code.errors.filter((error) => error.is_access_code_error).map((error) => error.error_code)
  const target = { device_id: code.device_id, access_code_id: code.access_code_id }
  return h("tr", {},
    h("th", { scope: "row" }, h("a", { href: `#/w/${session.id}/codes/${code.access_code_id}` }, name),
      held && held.name !== code.name && code.is_managed && h("span", { class: "hint" }, " on the lock: ", h("mark", {}, held.name ?? "(no name)")),
      !code.is_managed && h("span", { class: "hint" }, " unmanaged"), code.is_backup && h("span", { class: "hint" }, " backup"),
      code.access_grant_id && h("span", { class: "hint" }, " of an ",
        h("a", { href: `#/w/${session.id}/grants/${code.access_grant_id}`, "aria-label": `access grant of ${name}` }, "access grant"))),
    h("td", {}, h("span", { class: "badge", "data-status": errors.length > 0 ? "error" : code.status }, code.status),
      errors.length > 0 && h("span", { class: "error" }, " ", errors.join(", "))),
    h("td", {}, h("code", {}, code.is_managed ? code.code ?? "not assigned yet" : "–")),
    heldCell(held?.code, code.code, code.is_managed),
    h("td", {}, code.is_managed ? frame : "–"),
    heldCell(held ? timeFrame(held.starts_at, held.ends_at) : undefined, frame, code.is_managed),
    h("td", {}, next),
    h("td", { class: "actions" }, held && !code.is_backup && [changeAtLock(session, target, held),
      dangerButton("Remove", "Really remove at the lock?", async () => {
        await session.control("locks/remove_code", target)
        return "The code was removed at the lock, without Seam."
      })]))
}

function changeAtLock(session, target, held) {
  return button("Change PIN", () => {
    const code = prompt("New PIN at the lock, without Seam", held.code)
    return code ? attempt(async () => {
      await session.control("locks/change_code", { ...target, new_code: code })
      return "The PIN was changed at the lock, without Seam."
    }) : undefined
  })
}

export function timeFields() {
  return [field("Starts (UTC; empty: ongoing)", "starts_at", { placeholder: "2026-03-02 15:00" }), field("Ends (UTC)", "ends_at", { placeholder: "2026-03-05 11:00" })]
}

export function timesOf(values) {
  const times = {}
  for (const name of ["starts_at", "ends_at"]) if (values[name]) times[name] = fromField(values[name])
  return times
}

function createCode(session, device_id) {
  const element = form("Create an access code", "Create", async (values) => {
    const { name, code } = values
    await session.seam("/access_codes/create", { device_id, ...(name && { name }), ...(code && { code }), ...timesOf(values) })
    return "The access code was created."
  }, h("div", { class: "row" }, field("Name", "name"), field("PIN (empty: Seam chooses)", "code", { inputmode: "numeric" }), timeFields()))
  return h("details", { class: "panel" }, h("summary", {}, "Create an access code"), element)
}

function atTheDoor(session, device_id) {
  const enter = form("Enter a PIN at the keypad", "Enter", async ({ code }) => {
    const { result, message } = await session.control("locks/enter_code", { device_id, code })
    return result === "unlocked" ? `The door is unlocked. ${message}` : `Denied. ${message}`
  }, field("PIN", "code", { inputmode: "numeric", required: true }))
  const press = button("Press the lock button", async () => {
    const { result } = await session.control("locks/press_lock", { device_id })
    return `The door is ${result}.`
  })
  const door = (verb) => button(`${words(verb)} by the API`, async () => {
    const { action_attempt: { status } } = await session.seam(`/locks/${verb}_door`, { device_id })
    return `The action attempt to ${verb} the door is ${status}.`
  })
  const add = form("Add a code at the lock", "Add at the lock", async (values) => {
    await session.control("locks/add_code", { device_id, code: values.code, ...(values.name && { name: values.name }), ...timesOf(values) })
    return "The code was added at the lock, without Seam."
  }, h("div", { class: "row" }, field("PIN", "code", { required: true }), field("Name", "name"), timeFields()))
  return [h("div", { class: "row" }, enter, h("p", { class: "actions" }, press, door("lock"), door("unlock"))),
    h("details", { class: "panel" }, h("summary", {}, "Add a code at the lock, without Seam"), add)]
}

/** Switches for what can be wrong with a lock: name, label, whether it is on, as the device reports it. */
function switches(session, device) {
  const has = (code) => device.errors.some((error) => error.error_code === code)
  const states = [
    ["online", "Online", !has("device_disconnected") && !has("device_offline")],
    ["hub_connected", "Hub connected", !has("hub_disconnected")],
    ["account_connected", "Account connected", !has("account_disconnected")],
    ["subscription_expired", "Subscription expired", has("subscription_required") || has("salto_ks_subscription_limit_exceeded")],
    ["removed", "Removed from the account", has("device_removed")],
  ]
  return h("p", { class: "actions" }, states.map(([name, label, isOn]) =>
    button(label, async () => {
      const { device: changed } = await session.control("devices/update", { device_id: device.device_id, [name]: !isOn })
      return `“${label}” was switched ${isOn ? "off" : "on"}. The lock is ${changed.properties.online ? "online" : "offline"}.`
    }, { role: "switch", "aria-checked": String(Boolean(isOn)), class: "switch" })))
}

function numbers(session, device_id, { capacity: now, level: charge }) {
  return [h("div", { class: "row" },
    form("Capacity", "Set", async ({ capacity }) => {
      await session.control("devices/update", { device_id, max_active_codes_supported: capacity ? Number(capacity) : null })
      return "The capacity was set."
    }, field("Capacity of the memory (empty: unlimited)", "capacity", { type: "number", min: "1", value: now })),
    form("Battery", "Set", async ({ level }) => {
      await session.control("devices/update", { device_id, battery_level: Number(level) / 100 })
      return "The level of the battery was set."
    }, field("Battery in percent", "level", { type: "number", min: "0", max: "100", required: true, value: charge === undefined || charge === null ? undefined : Math.round(charge * 100) })))]
}

/** Buttons that make the next operation of the lock go wrong. */
function nextOperations(session, device_id) {
  const fault = (label, parameters) => button(label, async () => {
    await session.control("faults/create", { device_id, ...parameters })
    return "The fault was created. “Faults” lists it."
  })
  return h("p", { class: "actions" },
    fault("The next setting fails", { operation: "set", outcome: { fail: {} }, times: 1 }),
    fault("The next setting never ends", { operation: "set", outcome: "never", times: 1 }),
    fault("The next removal fails", { operation: "remove", outcome: { fail: {} }, times: 1 }),
    fault("The door is jammed once", { operation: "unlock", outcome: { fail: {} }, times: 1 }))
}
