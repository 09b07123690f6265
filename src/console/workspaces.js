// The first page: all workspaces, and a form to create one.

import { control } from "./api.js"
import { button, dangerButton, field, form, h, keyed, setText, table } from "./dom.js"
import { instant, plural, words } from "./format.js"
import { fromField } from "./clock.js"
import { throttled } from "./session.js"

/** Number of rows that are shown at first. */
const PAGE = 100

export const BRANDS = ["august_lock", "yale_lock", "schlage_lock", "kwikset_lock", "nuki_lock", "ttlock_lock", "igloohome_lock",
  "smartthings_lock", "wyze_lock", "salto_lock", "tedee_lock", "lockly_lock", "ultraloq_lock", "dormakaba_oracode_door",
  "two_n_intercom", "akiles_lock", "akuvox_lock", "aqara_lock", "avigilon_alta_entry", "brivo_access_point", "butterflymx_panel",
  "controlbyweb_device", "doorking_lock", "four_suites_door", "genie_door", "igloo_lock", "keyincode_lock", "kisi_lock",
  "linear_lock", "omnitec_lock", "yacan_lock"].map((name) => [name, words(name)])

export async function workspaces({ signal }) {
  const list = table("Workspaces", ["Name", "Clock", "Locks", "Access codes", "Created", "Actions"])
  const count = h("p", { role: "status" })
  const search = field("Search", "search", { type: "search" })
  const more = h("p")
  let all = []
  let shown = PAGE
  const show = () => {
    const text = search.querySelector("input").value.trim().toLowerCase()
    const found = all.filter((one) => `${one.name} ${one.workspace_id} ${one.api_key} ${one.seed}`.toLowerCase().includes(text))
    setText(count, plural(found.length, "workspace"))
    keyed(list.body, found.slice(0, shown).map(listed), (one) => one.workspace_id, (one) => row(one, refresh))
    more.replaceChildren(...(found.length > shown ? [button("Show more", () => { shown += PAGE; show() })] : []))
  }
  const problem = h("p", { class: "error", role: "alert" })
  const refresh = throttled(async () => {
    all = (await control("workspaces/list")).workspaces.reverse()
    setText(problem, "")
    show()
  }, (error) => setText(problem, `Not up to date: ${error.message}`))
  search.addEventListener("input", show)
  await refresh.run()
  if (signal.aborted) return []
  const timer = setInterval(() => document.visibilityState === "visible" && refresh(), 3000)
  signal.addEventListener("abort", () => clearInterval(timer))
  return [h("h1", {}, "Workspaces"), problem, create(), h("div", { class: "row" }, search, count), list.element, more]
}

/** What a row shows: without the instant of a clock that moves. */
function listed(one) {
  return one.clock.mode === "held" ? one : { ...one, clock: { mode: one.clock.mode } }
}

function row(one, refresh) {
  const id = one.workspace_id
  const mode = one.clock.mode === "held" ? `held at ${instant(one.clock.now)}` : one.clock.mode
  const codes = one.access_code_count + one.unmanaged_access_code_count
  return h("tr", {},
    h("th", { scope: "row" }, h("a", { href: `#/w/${id}/locks` }, one.name), h("br"), h("code", { class: "id" }, id)),
    h("td", {}, mode), h("td", { class: "number" }, one.device_count), h("td", { class: "number" }, codes),
    h("td", {}, instant(one.created_at), one.expires_at && h("span", { class: "hint" }, ` until ${instant(one.expires_at)}`)),
    h("td", { class: "actions" },
      dangerButton("Reset", "Really reset?", async () => {
        await control("workspaces/reset", { workspace_id: id })
        refresh.run()
        return `“${one.name}” was reset.`
      }),
      dangerButton("Delete", "Really delete?", async () => {
        await control("workspaces/delete", { workspace_id: id })
        refresh.run()
        return `“${one.name}” was deleted.`
      })))
}

function create() {
  const brands = h("div", { class: "row" })
  const add = () => brands.append(h("fieldset", { class: "row" }, h("legend", {}, `Lock ${brands.children.length + 1}`),
    field("Name", "lock_name"), field("Type", "device_type", { value: "august_lock" }, BRANDS)))
  add()
  const element = form("Create a workspace", "Create", async (values, target) => {
    const parameters = { locks: [...target.querySelectorAll("fieldset")].map((set) => {
      const name = set.querySelector("[name=lock_name]").value.trim()
      return { device_type: set.querySelector("select").value, ...(name && { name }) }
    }) }
    if (values.name) parameters.name = values.name
    if (values.seed) parameters.seed = values.seed
    if (values.held_at) parameters.clock = { held_at: fromField(values.held_at) }
    const { workspace } = await control("workspaces/create", parameters)
    location.hash = `#/w/${workspace.workspace_id}/locks`
    return `“${workspace.name}” was created.`
  }, h("div", { class: "row" }, field("Name", "name"),
    field("Clock held at (UTC; empty: live)", "held_at", { placeholder: "2026-03-02 12:00" }),
    field("Seed (for the same ids each time)", "seed")), brands,
  h("p", { class: "field" }, button("Add a lock", add)))
  return h("details", { class: "panel" }, h("summary", {}, "Create a workspace"), element)
}
