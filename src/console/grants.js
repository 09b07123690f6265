// All access grants of a workspace: which guest has access, when, and whether the PINs are issued.

import { attempt, button, field, h, keyed, setText, table } from "./dom.js"
import { plural, shortInstant } from "./format.js"

/** Number of access grants on a page. */
const PAGE = 50

/** Number of attempts to read what belongs to access grants, while other clients delete some of them. */
const ATTEMPTS = 3

/** Labels of access grants and methods, each with the status of an access code that has the same colour. */
const COLOURS = { Active: "set", "Awaiting issuance": "setting", "Being deleted": "removing" }

export function labelBadge(label) {
  return h("span", { class: "badge", "data-status": COLOURS[label] }, label)
}

/** Time frame of an access grant: it always has a start, but not always an end. */
export function period({ starts_at: startsAt, ends_at: endsAt }) {
  return `${shortInstant(startsAt)} – ${endsAt ? shortInstant(endsAt) : "no end"}`
}

/** Runs reads that depend on each other. An access grant that is deleted between two of them makes the second one fail. */
export async function together(read) {
  for (let attempts = 1; ; attempts += 1) {
    try {
      return await read()
    } catch (error) {
      if (error.status !== 404 || attempts === ATTEMPTS) throw error
    }
  }
}

/** Reads a page of access grants, with their methods and guests. */
async function readPage(session, parameters) {
  const { access_grants: grants, pagination } = await session.read("/access_grants/list", { ...parameters, limit: PAGE })
  const access_grant_ids = grants.map((one) => one.access_grant_id)
  if (grants.length === 0) return { items: [], pagination }
  const { batch } = await session.read("/access_grants/get_related", { access_grant_ids, include: ["access_methods", "user_identities"] })
  const methods = new Map(batch.access_methods.map((one) => [one.access_method_id, one]))
  const guests = new Map(batch.user_identities.map((one) => [one.user_identity_id, one]))
  const items = grants.map((one) => summary(one, guests.get(one.user_identity_id), one.access_method_ids.map((id) => methods.get(id)).filter(Boolean)))
  return { items, pagination }
}

export async function grants({ session, signal, query }) {
  const list = table("Access grants", ["Access grant", "Guest", "From – to (UTC)", "Status", "PINs", "Errors, warnings, pending mutations"])
  const search = field("Search (name, guest, key, id)", "search", { type: "search", value: query.get("search") ?? "" })
  const input = search.querySelector("input")
  const count = h("p", { role: "status" })
  const pager = h("p", { class: "actions" })
  // Cursors of the pages up to the shown one. The first page has none.
  let cursors = [undefined]
  const refresh = session.onChange(async () => {
    const text = input.value.trim()
    const cursor = cursors.at(-1)
    const { items, pagination } = await together(() => readPage(session, { ...(text && { search: text }), ...(cursor && { page_cursor: cursor }) }))
    list.element.hidden = items.length === 0
    const others = pagination.has_next_page || cursors.length > 1 ? ` on page ${cursors.length}` : ""
    const none = text ? "No access grant matches." : "No access grants yet."
    setText(count, items.length === 0 && !others ? none : `${plural(items.length, "access grant")}${others}`)
    keyed(list.body, items, (item) => item.id, (item) => row(session, item))
    showPager(pagination)
  }, signal)
  const showPager = ({ has_next_page: hasNext, next_page_cursor: next }) => {
    const to = (label, target, isDisabled) => button(label, () => { cursors = target(); return refresh.run() }, { disabled: isDisabled })
    const buttons = [to("Previous", () => cursors.slice(0, -1), cursors.length === 1), to("Next", () => [...cursors, next], !hasNext)]
    pager.replaceChildren(...(hasNext || cursors.length > 1 ? buttons : []))
  }
  input.addEventListener("input", () => {
    cursors = [undefined]
    const text = input.value.trim()
    history.replaceState(null, "", `#/w/${session.id}/grants${text ? `?${new URLSearchParams({ search: text })}` : ""}`)
    attempt(refresh.run)
  })
  await refresh.run()
  return [h("h1", {}, "Access grants"),
    h("p", {}, "An access grant gives a guest access to locks. Each of its access methods is one PIN, with an access code on each lock."),
    h("div", { class: "row" }, search, count), list.element, pager]
}

/** What a row shows of an access grant. */
function summary(grant, guest, methods) {
  const { access_grant_id: id, display_name: name, access_grant_key: key, display_status: label } = grant
  return {
    id, name, key, label, period: period(grant), guest: guest?.display_name, email: guest?.email_address,
    count: methods.length, issued: methods.filter((method) => method.is_issued).length, conditions: conditionsOf([grant, ...methods]),
  }
}

/** Returns what is unusual about an access grant and its methods: the kind and the code of each condition, once. */
function conditionsOf(objects) {
  const found = new Map()
  for (const { errors, warnings, pending_mutations: mutations } of objects) {
    for (const { error_code: code } of errors) found.set(`error ${code}`, { kind: "Error", status: "error", code })
    for (const { warning_code: code } of warnings) found.set(`warning ${code}`, { kind: "Warning", status: "setting", code })
    for (const { mutation_code: code } of mutations) found.set(`pending ${code}`, { kind: "Pending", code })
  }
  return [...found.values()]
}

function row(session, one) {
  const badges = one.conditions.map(({ kind, status, code }) => h("li", {}, h("span", { class: "badge", "data-status": status }, `${kind}: ${code}`)))
  return h("tr", {},
    h("th", { scope: "row" }, h("a", { href: `#/w/${session.id}/grants/${one.id}` }, one.name), one.key && h("span", { class: "hint" }, ` ${one.key}`)),
    h("td", {}, one.guest ?? "–", one.email && one.email !== one.guest && h("span", { class: "hint" }, ` ${one.email}`)),
    h("td", {}, one.period), h("td", {}, labelBadge(one.label)),
    h("td", {}, one.count === 0 ? "none" : `${one.issued} of ${one.count} issued`),
    h("td", {}, badges.length > 0 && h("ul", { class: "badges" }, badges)))
}
