// One access code: why it is in its state, what was asked for, what the lock holds, what happened and what happens next.

import { ApiError } from "./api.js"
import { advanceTo } from "./clock.js"
import { button, dangerButton, field, form, h, keyed, sections } from "./dom.js"
import { instant, relative, STEPS, timeFrame, words } from "./format.js"
import { timeFields, timesOf } from "./lock.js"
import { listDevices, nameOf } from "./locks.js"
import { headline, reasons } from "./reasons.js"

/** Number of events that the page of a code or of an access grant shows. */
export const EVENTS = 200

export async function code({ session, item: access_code_id, signal }) {
  const content = h("div", {})
  const events = h("ol", { class: "events" })
  const refresh = session.onChange(async () => {
    const { access_codes: [found] } = await session.inspect("access_codes/list", { access_code_ids: [access_code_id] })
    if (!found) throw new ApiError("This access code does not exist in this workspace.", 404)
    const { devices: [device] } = await listDevices(session, { device_ids: [found.device_id] })
    const { faults } = await session.inspect("faults/list")
    sections(content, page(session, { ...found, device_type: device?.device_type }, { device, faults, grant: await grantOf(session, found) }))
    const history = await session.read("/events/list", { access_code_id, since: "2000-01-01T00:00:00Z", limit: 10_000 })
    keyed(events, history.events.slice(-EVENTS), (event) => event.event_id, (event) => eventItem(event))
  }, signal)
  await refresh.run()
  return [content, h("section", { "aria-labelledby": "history" }, h("h2", { id: "history" }, "Events"), events,
    h("p", {}, h("a", { href: `#/w/${session.id}/activity?filter=${access_code_id}` }, "Requests and events with this access code")))]
}

/** Returns the access grant of an access code; undefined if it belongs to none. */
async function grantOf(session, { access_grant_id: id }) {
  if (!id) return undefined
  const { access_grants: [grant] } = await session.read("/access_grants/list", { access_grant_ids: [id] })
  return { id, name: grant?.display_name ?? id }
}

/** Returns the sections of the page. Each is rendered again only if its data has changed. */
function page(session, found, { device, faults, grant }) {
  const now = session.now()
  const next = found.next_step
  const why = {
    found, list: reasons(found, { faults, now, isHeld: session.isHeld }), isAhead: next && Date.parse(next.due_at) > now,
    next: next ? `${STEPS[next.step]} ${relative(next.due_at, now)}, at ${instant(next.due_at)}. ` : "nothing, by the passing of time. ",
  }
  const { access_code_id, access_method_id, is_managed, gone_at, operation } = found
  const isDue = operation && Date.parse(operation.due_at) <= now
  return [
    ["head", { found, name: device && nameOf(device), grant }, (data) => head(session, data)],
    ["why", why, (data) => whyNotSet(session, data)],
    ["comparison", found, comparison],
    ["pending", found, pending],
    ["change", { access_code_id, access_method_id, is_managed, gone_at }, (data) => change(session, data)],
    ["actions", { access_code_id, access_method_id, is_managed, gone_at, isDue }, (data) => actions(session, data)],
  ]
}

function head(session, { found, name, grant }) {
  return [
    h("p", {}, h("a", { href: `#/w/${session.id}/locks/${found.device_id}` }, name ?? "The lock"), " · ",
      h("a", { href: `#/w/${session.id}/timeline?lock=${found.device_id}` }, "Time line")),
    h("h1", {}, found.name ?? "Access code without a name", " ", h("span", { class: "badge", "data-status": found.status }, found.gone_at ? "gone" : found.status)),
    grant && h("p", {}, "Access grant: ", h("a", { href: `#/w/${session.id}/grants/${grant.id}` }, grant.name),
      ". This access code can be changed and deleted only through its access grant."),
  ]
}

function whyNotSet(session, { found, list, isAhead, next }) {
  const isSet = found.status === "set" || found.gone_at
  return h("section", { class: "why", "aria-label": isSet ? "State" : "Why is it not set?" },
    !isSet && h("h2", {}, "Why is this access code not set?"),
    h("p", {}, h("strong", {}, headline(found))),
    h("ul", {}, list.map((reason) => h("li", { class: reason.isError ? "error" : undefined }, reason.text,
      reason.other && [" ", h("a", { href: `#/w/${session.id}/codes/${reason.other}` }, "The other access code")],
      reason.code && [" ", h("code", { class: "hint" }, reason.code)]))),
    h("p", { class: "next" }, h("strong", {}, "Next: "), next, isAhead && advanceTo(session, found.next_step.due_at)))
}

function comparison(found) {
  const { held } = found
  const rows = [
    ["Name", found.name ?? "none", held && (held.name ?? "none")],
    ["PIN", found.code ?? "not assigned yet", held?.code],
    ["Time frame", timeFrame(found.starts_at, found.ends_at), held && timeFrame(held.starts_at, held.ends_at)],
  ]
  const facts = [
    ["Access code id", h("code", { class: "id" }, found.access_code_id)], ["Created", instant(found.created_at)],
    ["Programmed from", found.programming_due_at && instant(found.programming_due_at)], ["First on the lock", found.first_held_at && instant(found.first_held_at)],
    ["common_code_key", found.common_code_key], ["Kind", [found.is_managed ? "managed" : "unmanaged", found.is_backup && "backup", found.is_offline_access_code && "offline"].filter(Boolean).join(", ")],
  ].filter(([, value]) => value)
  return [
    h("table", { class: "comparison" }, h("caption", {}, "Asked for, and in the lock’s memory"),
      h("thead", {}, h("tr", {}, h("td", {}), h("th", { scope: "col" }, "Asked for"), h("th", { scope: "col" }, "In the lock’s memory"))),
      h("tbody", {}, rows.map(([name, asked, stored]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, found.is_managed ? asked : "–"),
        h("td", {}, stored === undefined || stored === null ? "nothing" : stored === asked || !found.is_managed ? stored : h("mark", {}, stored, h("span", { class: "hidden" }, " (differs)"))))))),
    h("dl", { class: "facts" }, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
  ]
}

function pending(found) {
  const mutations = (found.pending_mutations ?? []).map((one) => h("li", {}, h("strong", {}, one.mutation_code), ` ${one.message}`,
    one.from && h("span", { class: "hint" }, ` ${JSON.stringify(one.from)} → ${JSON.stringify(one.to)}`)))
  const warnings = found.warnings.map((one) => h("li", { class: "warning" }, h("strong", {}, one.warning_code), ` ${one.message}`))
  const section = (title, items) => items.length > 0 && [h("h2", {}, title), h("ul", {}, items)]
  return [section("Pending mutations", mutations), section("Warnings", warnings)]
}

function change(session, { access_code_id, access_method_id, is_managed, gone_at }) {
  if (!is_managed || gone_at || access_method_id) return []
  const element = form("Change the access code", "Change", async (values) => {
    const { name, code: pin } = values
    await session.seam("/access_codes/update", { access_code_id, ...(name && { name }), ...(pin && { code: pin }), ...timesOf(values) })
    return "The change was requested."
  }, h("div", { class: "row" }, field("New name", "name"), field("New PIN", "code", { inputmode: "numeric" }), timeFields()))
  return h("details", { class: "panel" }, h("summary", {}, "Change the access code"), element)
}

function actions(session, { access_code_id, access_method_id, is_managed, gone_at, isDue }) {
  if (gone_at) return []
  const path = is_managed ? "/access_codes/delete" : "/access_codes/unmanaged/delete"
  return h("p", { class: "actions" },
    isDue && button("Finish the operation", async () => {
      await session.control("access_codes/step", { access_code_id })
      return "The operation was finished by hand."
    }),
    button("Add an error", async () => {
      await session.control("access_codes/add_error", { access_code_id, error_code: "provider_issue" })
      return "The error provider_issue was added."
    }),
    button("Remove added errors", async () => {
      await session.control("access_codes/clear", { access_code_id })
      return "The errors and warnings that were added are removed."
    }),
    !access_method_id && dangerButton("Delete the access code", "Really delete?", async () => {
      await session.seam(path, { access_code_id })
      return "The deletion was requested."
    }))
}

/** Item of a list of events. `detail` is a text that follows the type. */
export function eventItem(event, detail) {
  return h("li", {}, h("time", {}, instant(event.occurred_at)), " ", h("strong", {}, event.event_type), " ", detail && [detail, " "],
    h("span", { class: "hint" }, event.event_description ?? words(event.event_type)))
}
