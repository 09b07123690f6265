// One access code: why it is in its state, what was asked for, what the lock holds, what happened and what happens next.

import { advanceTo } from "./clock.js"
import { button, dangerButton, h, keyed, replace } from "./dom.js"
import { instant, relative, STEPS, timeFrame, words } from "./format.js"
import { listDevices, nameOf } from "./locks.js"
import { headline, reasons } from "./reasons.js"
import { throttled } from "./session.js"

export async function code({ session, item: access_code_id, signal }) {
  const content = h("div", {})
  const events = h("ol", { class: "events" })
  let isFound = false
  const refresh = throttled(async () => {
    const { access_codes: [found] } = await session.inspect("access_codes/list", { access_code_ids: [access_code_id] })
    isFound = found !== undefined
    if (!isFound) return
    const { devices: [device] } = await listDevices(session, { device_ids: [found.device_id] })
    const { faults } = await session.inspect("faults/list")
    const context = { faults, now: session.now(), isHeld: session.isHeld }
    replace(content, page(session, { ...found, device_type: device?.device_type }, device, context))
    const history = await session.read("/events/list", { access_code_id, since: "2000-01-01T00:00:00Z", limit: 200 })
    keyed(events, history.events, (event) => event.event_id, eventItem)
  })
  session.addEventListener("change", refresh, { signal })
  await refresh.run()
  if (!isFound) throw Object.assign(new Error("This access code does not exist in this workspace."), { status: 404 })
  return [content, h("section", { "aria-labelledby": "history" }, h("h2", { id: "history" }, "Events"), events,
    h("p", {}, h("a", { href: `#/w/${session.id}/activity?filter=${access_code_id}` }, "Requests and events with this access code")))]
}

function page(session, found, device, context) {
  const list = reasons(found, context)
  const next = found.next_step
  return [
    h("p", {}, h("a", { href: `#/w/${session.id}/locks/${found.device_id}` }, device ? nameOf(device) : "The lock"), " · ",
      h("a", { href: `#/w/${session.id}/timeline?lock=${found.device_id}` }, "Time line")),
    h("h1", {}, found.name ?? "Access code without a name", " ", h("span", { class: "badge", "data-status": found.status }, found.gone_at ? "gone" : found.status)),
    h("section", { class: "why", "aria-label": found.status === "set" ? "State" : "Why is it not set?" },
      found.status !== "set" && !found.gone_at && h("h2", {}, "Why is this access code not set?"),
      h("p", {}, h("strong", {}, headline(found))),
      h("ul", {}, list.map((reason) => h("li", { class: reason.isError ? "error" : undefined }, reason.text,
        reason.other && [" ", h("a", { href: `#/w/${session.id}/codes/${reason.other}` }, "The other access code")],
        reason.code && [" ", h("code", { class: "hint" }, reason.code)]))),
      h("p", { class: "next" }, h("strong", {}, "Next: "), next ? `${STEPS[next.step]} ${relative(next.due_at, context.now)}, at ${instant(next.due_at)}. ` : "nothing, by the passing of time. ",
        next && Date.parse(next.due_at) > context.now && advanceTo(session, next.due_at))),
    comparison(found),
    pending(found),
    actions(session, found),
  ]
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

function actions(session, found) {
  if (found.gone_at) return []
  const { access_code_id } = found
  const path = found.is_managed ? "/access_codes/delete" : "/access_codes/unmanaged/delete"
  return h("p", { class: "actions" },
    found.operation && Date.parse(found.operation.due_at) <= session.now() && button("Finish the operation", async () => {
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
    dangerButton("Delete the access code", "Really delete?", async () => {
      await session.seam(path, { access_code_id })
      return "The deletion was requested."
    }))
}

export function eventItem(event) {
  return h("li", {}, h("time", {}, instant(event.occurred_at)), " ", h("strong", {}, event.event_type), " ",
    h("span", { class: "hint" }, event.event_description ?? words(event.event_type)))
}
