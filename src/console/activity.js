// Requests and events, live: a list with a filter, and the details of the selected entry.

import { curl } from "./api.js"
import { attempt, button, copied, field, h, keyed, setText } from "./dom.js"
import { instant, plural, quoted } from "./format.js"
import { KEPT } from "./session.js"

/** Number of rows that are shown. */
const ROWS = 150

/** Shortest time between two updates of the list, in milliseconds. */
const INTERVAL = 250

/** Text of an entry in which the filter searches. It is computed once. */
const texts = new WeakMap()

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

function textOf(entry) {
  let text = texts.get(entry)
  if (text === undefined) {
    text = JSON.stringify(entry.data).toLowerCase()
    texts.set(entry, text)
  }
  return text
}

export async function activity({ session, signal, query }) {
  const filter = field("Filter (path, status, id, name, …)", "filter", { type: "search", value: query.get("filter") ?? "" })
  const kinds = field("Show", "kind", { value: "all" }, [["all", "requests and events"], ["request", "requests"], ["event", "events"]])
  const list = h("ul", { class: "entries", "aria-label": "Requests and events" })
  const details = h("section", { class: "details", "aria-label": "Details", tabindex: "-1" }, h("p", { class: "hint" }, "Select a request or an event."))
  const count = h("p", { role: "status", class: "hint" })
  let selected
  let isPaused = false
  let timer
  // Entries with the id in the filter that the page does not keep any more.
  let older = { id: undefined, entries: [] }
  const open = (entry) => {
    details.replaceChildren(...(entry.kind === "request" ? request(session, entry.data, follow) : event(session, entry.data, follow)).flat(2).filter(Boolean))
    details.focus({ preventScroll: true })
    // Beside the list there is nothing to scroll, below it there is.
    if (details.offsetTop > list.offsetTop) details.scrollIntoView({ block: "start" })
    selected = entry.id
    mark()
  }
  const mark = () => {
    for (const button of list.querySelectorAll(".entry")) {
      if (button.entryId === selected) button.setAttribute("aria-current", "true")
      else button.removeAttribute("aria-current")
    }
  }
  const show = () => {
    timer = undefined
    const text = filter.querySelector("input").value.trim().toLowerCase()
    const kind = kinds.querySelector("select").value
    if (older.id !== text) {
      older = { id: text, entries: [] }
      if (ID.test(text)) attempt(() => search(text))
    }
    const known = new Set(session.entries.map((entry) => entry.id))
    const all = [...session.entries, ...older.entries.filter((entry) => !known.has(entry.id))]
    const found = all.filter((entry) => (kind === "all" || entry.kind === kind) && (text === "" || textOf(entry).includes(text)))
    const missed = session.missed > 0 ? `; ${plural(session.missed, "message")} left out, because there were too many` : ""
    const label = `${plural(found.length, "entry", "entries")}${found.length > ROWS ? `, the latest ${ROWS} are shown` : ""}${all.length >= KEPT && !ID.test(text) ? `; the page keeps ${KEPT}` : ""}${missed}`
    setText(count, label)
    keyed(list, found.slice(0, ROWS).map(({ number, kind: type }) => ({ number, type })), (item) => item.number,
      ({ number }) => row(found.find((entry) => entry.number === number), open))
    mark()
    history.replaceState(null, "", `#/w/${session.id}/activity${text ? `?${new URLSearchParams({ filter: text })}` : ""}`)
  }
  const search = async (id) => {
    const entries = await session.find(id)
    if (older.id !== id) return
    older = { id, entries }
    show()
  }
  const follow = (id) => {
    filter.querySelector("input").value = id
    show()
  }
  const update = () => {
    if (!isPaused) timer ??= setTimeout(show, INTERVAL)
  }
  session.addEventListener("entries", update, { signal })
  filter.addEventListener("input", show)
  kinds.addEventListener("change", show)
  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => {
    isPaused = !isPaused
    pause.setAttribute("aria-pressed", String(isPaused))
    pause.textContent = isPaused ? "Continue" : "Pause"
    if (!isPaused) show()
  } }, "Pause")
  show()
  return [h("h1", {}, "Activity"), h("div", { class: "row" }, filter, kinds, h("p", { class: "field" }, pause)), count, h("div", { class: "split" }, list, details)]
}

function row(entry, open) {
  const { kind, data } = entry
  const parts = kind === "request" ? requestParts(data) : [
    h("span", { class: "badge" }, "event"), h("strong", {}, data.event_type), h("span", { class: "hint" }, instant(data.occurred_at)),
  ]
  const element = h("button", { type: "button", class: "entry", onclick: () => open(entry) }, parts.map((part) => [part, " "]))
  element.entryId = entry.id
  return h("li", {}, element)
}

function requestParts(data) {
  const isBad = data.status === null || data.status >= 400
  return [
    h("span", { class: "badge", "data-status": isBad ? "error" : "set" }, data.status ?? "reset"),
    h("strong", {}, `${data.method} ${data.path}`),
    h("span", { class: "hint" }, `${data.duration_ms.toFixed(1)} ms, ${data.started_at.slice(11, 19)}`),
    data.validation_issues.length > 0 && h("span", { class: "badge", "data-status": "error" }, plural(data.validation_issues.length, "issue")),
    data.unknown_parameters.length > 0 && h("span", { class: "badge", "data-status": "setting" }, plural(data.unknown_parameters.length, "unknown parameter")),
    data.http_fault_id && h("span", { class: "badge", "data-status": "error" }, "HTTP fault"),
    data.events.length > 0 && h("span", { class: "badge" }, plural(data.events.length, "event")),
  ].filter(Boolean)
}

function json(title, value) {
  if (value === null || value === undefined) return []
  return [h("h3", {}, title), h("pre", { tabindex: "0", "aria-label": title }, typeof value === "string" ? value : JSON.stringify(value, null, 2))]
}

function request(session, data, follow) {
  const command = curl(session.workspace, data, quoted)
  const copy = button("Copy as curl", () => copied(command, "The curl command"))
  const issue = (one) => h("li", {}, h("strong", {}, one.parameter || "request"), ` ${one.message}`)
  const unknown = (one) => h("li", {}, h("strong", {}, one.parameter), one.suggestion ? ` did you mean ${one.suggestion}?` : " is not in the contract")
  return [
    h("h2", {}, `${data.method} ${data.path}`),
    h("p", {}, data.status === null ? "The connection was reset." : `Status ${data.status}`, `, ${data.duration_ms.toFixed(2)} ms, at ${instant(data.started_at)} on the clock of this machine.`),
    h("p", { class: "actions" }, copy),
    data.http_fault_id && h("p", { class: "error" }, "An HTTP fault was applied: ", h("code", {}, data.http_fault_id)),
    data.validation_issues.length > 0 && [h("h3", {}, "Validation issues"), h("ul", { class: "error" }, data.validation_issues.map(issue))],
    data.unknown_parameters.length > 0 && [h("h3", {}, "Unknown parameters"), h("ul", { class: "warning" }, data.unknown_parameters.map(unknown))],
    data.events.length > 0 && [h("h3", {}, "Events that it caused"), h("ul", {}, data.events.map((one) => h("li", {}, one.event_type, one.access_code_id && [" ", links(session, one.access_code_id, follow)])))],
    json("Query", data.query), json(data.is_body_cut ? "Body (cut)" : "Body", data.body), json(data.is_answer_cut ? "Response (cut)" : "Response", data.answer),
    h("h3", {}, "As curl"), h("pre", { tabindex: "0", class: "command", "aria-label": "curl command" }, command),
  ]
}

function links(session, id, follow) {
  return [h("a", { href: `#/w/${session.id}/codes/${id}` }, "access code"), " ", button("Follow", () => follow(id), { class: "quiet", "aria-label": `Follow ${id}`, title: "Show only entries with this id" })]
}

function event(session, data, follow) {
  const grantId = data.access_grant_id ?? data.access_grant_ids?.[0]
  return [
    h("h2", {}, data.event_type), h("p", {}, data.event_description), h("p", {}, `Occurred at ${instant(data.occurred_at)} on the clock of the workspace.`),
    data.access_code_id && h("p", {}, links(session, data.access_code_id, follow)),
    grantId && h("p", {}, h("a", { href: `#/w/${session.id}/grants/${grantId}` }, "access grant"), " ",
      button("Follow", () => follow(grantId), { class: "quiet", "aria-label": `Follow ${grantId}`, title: "Show only entries with this id" })),
    data.device_id && h("p", {}, h("a", { href: `#/w/${session.id}/locks/${data.device_id}` }, "Lock")),
    json("Event", data),
  ]
}
