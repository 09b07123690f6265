// One access grant: the guest, the locks, each access method with its access codes, and why it is not issued.

import { ApiError } from "./api.js"
import { advanceTo } from "./clock.js"
import { EVENTS, eventItem } from "./code.js"
import { dangerButton, h, keyed, sections, table } from "./dom.js"
import { instant, plural, relative, STEPS } from "./format.js"
import { labelBadge, period, together } from "./grants.js"
import { listDevices, nameOf } from "./locks.js"
import { headline, reasons } from "./reasons.js"

/** Maximum number of access codes that the page reads. */
const CODES = 1000

/** Number of access codes that are shown for a method, and of those that delay an access grant. */
const ROWS = 100
const DELAYS = 20

/** Number of names in a list of locks or spaces. */
const NAMES = 30

const INCLUDED = ["spaces", "devices", "user_identities", "access_methods"]

export async function grant({ session, item: access_grant_id, signal }) {
  const content = h("div", {})
  const events = h("ol", { class: "events" })
  const refresh = session.onChange(async () => {
    const found = await together(() => readGrant(session, access_grant_id))
    const history = await session.read("/events/list", { access_grant_id, since: "2000-01-01T00:00:00Z", limit: 10_000 })
    // The events stay when the access grant is gone.
    if (!found && history.events.length === 0) throw new ApiError("This access grant does not exist in this workspace.", 404)
    sections(content, found ? page(session, found) : [["gone", {}, () => gone(session)]])
    const pins = new Map(found?.methods.map((method) => [method.access_method_id, method.code]))
    const items = history.events.slice(-EVENTS).map((event) => ({ event, pin: event.code ?? pins.get(event.access_method_id) }))
    keyed(events, items, ({ event }) => event.event_id, ({ event, pin }) => eventItem(event, pin && `PIN ${pin}`))
  }, signal)
  await refresh.run()
  return [content, h("section", { "aria-labelledby": "history" }, h("h2", { id: "history" }, "Events of the access grant and its methods"), events,
    h("p", {}, h("a", { href: `#/w/${session.id}/activity?filter=${access_grant_id}` }, "Requests and events with this access grant")))]
}

/** Reads an access grant with all that belongs to it; undefined if it is gone. */
async function readGrant(session, access_grant_id) {
  const { access_grants: [one] } = await session.read("/access_grants/list", { access_grant_ids: [access_grant_id] })
  if (!one) return undefined
  const [{ batch }, { access_codes: codes, has_more: hasMore }, { faults }] = await Promise.all([
    session.read("/access_grants/get_related", { access_grant_ids: [access_grant_id], include: INCLUDED }),
    session.inspect("access_codes/list", { access_grant_id, limit: CODES }), session.inspect("faults/list"),
  ])
  // A lock that has left the access grant can still have its access code.
  const known = new Set(batch.devices.map((device) => device.device_id))
  const left = [...new Set(codes.map((code) => code.device_id))].filter((id) => !known.has(id)).slice(0, NAMES)
  const { devices: others } = left.length > 0 ? await listDevices(session, { device_ids: left }) : { devices: [] }
  const locks = new Map([...batch.devices, ...others].map((device) => [device.device_id, device]))
  const names = Object.fromEntries([...locks].map(([id, device]) => [id, nameOf(device)]))
  const withType = codes.map((code) => ({ ...code, device_type: locks.get(code.device_id)?.device_type }))
  return {
    grant: one, guest: batch.user_identities[0], spaces: batch.spaces.map((space) => space.display_name), covered: batch.devices.map((device) => device.device_id),
    methods: batch.access_methods, codes: withType, hasMore, names, faults,
  }
}

/** Returns the sections of the page. Each is rendered again only if its data has changed. */
function page(session, found) {
  const { grant: one, methods, codes, names, hasMore } = found
  const { access_grant_id, display_name, display_status } = one
  const ofMethod = (method) => codes.filter((code) => code.access_method_id === method.access_method_id)
  return [
    ["head", { display_name, display_status }, (data) => head(session, data)],
    ["why", whyData(session, found), (data) => why(session, data)],
    ["conditions", { one: conditions(one), names }, (data) => conditionLists(session, data.one, data.names, "h2")],
    ["facts", { ...found, codes: undefined, faults: undefined, methods: undefined }, (data) => facts(session, data)],
    ...methods.map((method, index) => [`method ${method.access_method_id}`,
      { method, index, names, hasMore, rows: ofMethod(method).map((code) => rowData(code, session.now())) }, (data) => methodSection(session, data)]),
    ["actions", { access_grant_id, display_status }, (data) => actions(session, data)],
  ]
}

function gone(session) {
  return [h("p", {}, h("a", { href: `#/w/${session.id}/grants` }, "All access grants")), h("h1", {}, "Deleted access grant"),
    h("p", {}, "This access grant was deleted. Its events are still here.")]
}

function head(session, { display_name, display_status }) {
  return [h("p", {}, h("a", { href: `#/w/${session.id}/grants` }, "All access grants")), h("h1", {}, display_name, " ", labelBadge(display_status))]
}

/** Returns the access codes that delay an access grant: they are not ready or, for a deletion, still on their locks. */
function delaying({ grant: one, codes }) {
  if (one.display_status === "Being deleted") return codes
  return codes.filter((code) => code.is_ready_to_issue === false)
}

function whyData(session, found) {
  const { grant: one, methods, codes, names, faults } = found
  const now = session.now()
  const delays = delaying(found)
  const steps = delays.map((code) => code.next_step && { ...code.next_step, lock: names[code.device_id] }).filter(Boolean)
  steps.sort((first, other) => Date.parse(first.due_at) - Date.parse(other.due_at))
  const [next] = steps
  return {
    label: one.display_status, sentence: sentence(found, delays.length), names, hidden: Math.max(0, delays.length - DELAYS),
    open: methods.filter((method) => !method.is_issued && !codes.some((code) => code.access_method_id === method.access_method_id)).length,
    list: delays.slice(0, DELAYS).map((code) => ({
      id: code.access_code_id, device_id: code.device_id, pin: code.code, status: code.status, list: delayReasons(code, { faults, now, isHeld: false }),
    })),
    next: next && { due_at: next.due_at, isAhead: Date.parse(next.due_at) > now, text: `${STEPS[next.step]} (${next.lock ?? "a lock"}) ${relative(next.due_at, now)}, at ${instant(next.due_at)}. ` },
  }
}

/** Returns why an access code is not ready: what is unusual about it, else its state and what the lock does not have yet. */
function delayReasons(code, situation) {
  const found = reasons(code, situation)
  if (found.length > 0) return found
  return [{ text: headline(code) }, ...(code.pending_mutations ?? []).map((one) => ({ text: one.message, code: one.mutation_code }))]
}

/** Returns one sentence for the state of an access grant. */
function sentence({ grant: one, methods }, delays) {
  const open = methods.filter((method) => !method.is_issued).length
  switch (one.display_status) {
    case "Being deleted": return "The access grant is gone as soon as the last lock has confirmed that its access code is removed."
    case "Expired": return "The access grant has ended. It stays until it is deleted."
    case "Awaiting issuance":
      if (methods.length === 0) return one.errors.length > 0 ? "No access method could be created, so there is no PIN: see “Errors”." : "The access grant has no access methods, so there is no PIN."
      return `${open === 1 ? "One access method is" : `${open} access methods are`} not issued: the guest cannot rely on ${open === 1 ? "its PIN" : "their PINs"} on every lock.`
    default:
      if (one.errors.length > 0) return "Each access method is issued, but some locks have no access code: see “Errors”."
      if (delays > 0) return "Each access method is issued, but some locks do not have their access code yet."
      return one.display_status === "Upcoming" ? "Each access method is issued. The PINs open the doors from the start on." : "Each access method is issued: the PINs open the doors now."
  }
}

const QUESTIONS = { "Awaiting issuance": "Why is this access grant not issued?", "Being deleted": "Why is this access grant not gone yet?" }

function why(session, { label, sentence: text, list, hidden, open, names, next }) {
  const item = (one) => h("li", {}, lockLink(session, one.device_id, names), ", ",
    h("a", { href: `#/w/${session.id}/codes/${one.id}` }, `access code ${one.pin ?? "without a PIN"}`), " ", h("span", { class: "badge", "data-status": one.status }, one.status),
    h("ul", {}, one.list.map((reason) => h("li", { class: reason.isError ? "error" : undefined }, reason.text,
      reason.other && [" ", h("a", { href: `#/w/${session.id}/codes/${reason.other}` }, "The other access code")],
      reason.code && [" ", h("code", { class: "hint" }, reason.code)]))))
  return h("section", { class: "why", "aria-label": QUESTIONS[label] ? "Why?" : "State" },
    QUESTIONS[label] && h("h2", {}, QUESTIONS[label]), h("p", {}, h("strong", {}, text)),
    label === "Awaiting issuance" && open > 0 && h("p", { class: "error" }, `${plural(open, "access method has", "access methods have")} no access code on any lock.`),
    list.length > 0 && h("ul", {}, list.map(item)), hidden > 0 && h("p", {}, `and ${plural(hidden, "further access code")}.`),
    next && h("p", { class: "next" }, h("strong", {}, "Next: "), next.text, next.isAhead && advanceTo(session, next.due_at)))
}

function lockLink(session, id, names) {
  return h("a", { href: `#/w/${session.id}/locks/${id}` }, names[id] ?? id)
}

/** Links to locks, separated by commas. */
function lockLinks(session, ids, names) {
  const links = ids.slice(0, NAMES).flatMap((id, index) => [index > 0 && ", ", lockLink(session, id, names)])
  return ids.length > NAMES ? [...links, ` and ${ids.length - NAMES} more`] : links
}

function conditions({ errors, warnings, pending_mutations }) {
  return { errors, warnings, pending_mutations }
}

function conditionLists(session, { errors, warnings, pending_mutations: mutations }, names, heading) {
  const item = (one, code, className) => h("li", { class: className }, h("strong", {}, code), ` ${one.message}`,
    one.created_at && h("span", { class: "hint" }, ` since ${instant(one.created_at)}`), details(session, one, names))
  const list = (title, items) => items.length > 0 && [h(heading, {}, title), h("ul", {}, items)]
  return [
    list("Errors", errors.map((one) => item(one, one.error_code, "error"))),
    list("Warnings", warnings.map((one) => item(one, one.warning_code, "warning"))),
    list("Pending mutations", mutations.map((one) => item(one, one.mutation_code))),
  ]
}

/** What a condition says beside its message: its locks, and what changes. */
function details(session, one, names) {
  const { from, to } = one
  const without = (ids, others) => (ids ?? []).filter((id) => !(others ?? []).includes(id))
  const added = without(to?.device_ids, from?.device_ids)
  const removed = without(from?.device_ids, to?.device_ids)
  const locks = [one.device_id, ...(one.missing_device_ids ?? []), ...(one.failed_devices ?? []).map((device) => device.device_id)].filter(Boolean)
  return [
    locks.length > 0 && [" Locks: ", lockLinks(session, locks, names), "."],
    one.reason && ` Reason: ${one.reason}.`,
    one.original_code && ` Asked for: ${one.original_code}. Assigned: ${one.new_code}.`,
    added.length > 0 && [" Without access yet: ", lockLinks(session, added, names), "."],
    removed.length > 0 && [" Still with access: ", lockLinks(session, removed, names), "."],
    from?.starts_at && ` ${period(from)} becomes ${period(to)}.`,
  ]
}

function facts(session, { grant: one, guest, spaces, covered, names }) {
  const contact = [guest?.email_address, guest?.phone_number].filter((text) => text && text !== guest.display_name)
  const shown = spaces.slice(0, NAMES).join(", ")
  const rows = [
    ["Guest", [guest?.display_name ?? one.user_identity_id, contact.length > 0 && h("span", { class: "hint" }, ` ${contact.join(", ")}`), " ",
      h("a", { href: `#/w/${session.id}/grants?search=${one.user_identity_id}` }, "All access grants of this guest")]],
    ["From – to (UTC)", period(one)],
    ["Spaces", spaces.length > NAMES ? `${shown} and ${spaces.length - NAMES} more` : shown],
    ["Locks", covered.length > 0 ? lockLinks(session, covered, names) : "none"],
    ["access_grant_key", one.access_grant_key], ["reservation_key", one.reservation_key], ["Created", instant(one.created_at)],
    ["Access grant id", h("code", { class: "id" }, one.access_grant_id)], ["User identity id", h("code", { class: "id" }, one.user_identity_id)],
  ].filter(([, value]) => value)
  return [h("h2", {}, "Who, where and when"), h("dl", { class: "facts" }, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))]
}

const READY = { true: "yes", false: "no", null: "is being removed" }

function rowData(code, now) {
  const { next_step: next } = code
  return {
    id: code.access_code_id, device_id: code.device_id, name: code.name, isBackup: code.is_backup, status: code.status, pin: code.code, held: code.held?.code,
    errors: code.errors.map((error) => error.error_code), isReady: code.is_ready_to_issue, next: next ? `${STEPS[next.step]} ${relative(next.due_at, now)}` : "nothing",
  }
}

function methodSection(session, { method, index, names, hasMore, rows }) {
  const { access_method_id: id, issued_at: issuedAt } = method
  const list = table(`Access codes of access method ${index + 1}`, ["Lock", "Access code", "Status", "PIN asked for", "PIN on the lock", "Ready", "Next"])
  // What is not ready comes first.
  const sorted = [...rows].sort((one, other) => Number(one.isReady !== false) - Number(other.isReady !== false))
  keyed(list.body, sorted.slice(0, ROWS), (one) => one.id, (one) => codeRow(session, one, names))
  const cut = rows.length > ROWS ? `${ROWS} of ${rows.length} access codes. ` : ""
  return h("section", { "aria-labelledby": `method-${id}` },
    h("h2", { id: `method-${id}` }, `Access method ${index + 1}: `, method.code ? `PIN ${method.code}` : "PIN not assigned yet", " ", labelBadge(method.display_status)),
    h("p", {}, method.is_issued ? `Issued since ${instant(issuedAt)}.` : "Not issued.", " ", h("code", { class: "id" }, id)),
    conditionLists(session, conditions(method), names, "h3"),
    rows.length > 0 ? list.element : h("p", { class: "hint" }, "No access codes."),
    (cut || hasMore) && h("p", { class: "hint" }, cut, hasMore && `The page reads the newest ${CODES} access codes of the access grant.`))
}

function codeRow(session, one, names) {
  return h("tr", {}, h("th", { scope: "row" }, lockLink(session, one.device_id, names)),
    h("td", {}, h("a", { href: `#/w/${session.id}/codes/${one.id}` }, one.name ?? "(no name)"), one.isBackup && h("span", { class: "hint" }, " backup")),
    h("td", {}, h("span", { class: "badge", "data-status": one.errors.length > 0 ? "error" : one.status }, one.status),
      one.errors.length > 0 && h("span", { class: "error" }, " ", one.errors.join(", "))),
    h("td", {}, h("code", {}, one.pin ?? "not assigned yet")), h("td", {}, one.held ? h("code", {}, one.held) : "–"),
    h("td", {}, READY[one.isReady]), h("td", {}, one.next))
}

function actions(session, { access_grant_id, display_status }) {
  if (display_status === "Being deleted") return []
  return h("p", { class: "actions" }, dangerButton("Delete the access grant", "Really delete?", async () => {
    await session.seam("/access_grants/delete", { access_grant_id })
    return "The deletion was requested."
  }))
}
