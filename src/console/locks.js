// All locks of a workspace as cards.

import { attempt, button, field, form, h, keyed, setText } from "./dom.js"
import { plural, words } from "./format.js"
import { BRANDS } from "./workspaces.js"

/** Number of locks on a page. */
const PAGE = 24

/** Lists locks: the managed ones, then the unmanaged ones. */
export async function listDevices(session, parameters = {}) {
  const managed = await session.read("/devices/list", parameters)
  const unmanaged = await session.read("/devices/unmanaged/list", parameters)
  return { devices: [...managed.devices, ...unmanaged.devices], hasMore: managed.pagination.has_next_page || unmanaged.pagination.has_next_page }
}

export function nameOf(device) {
  return device.display_name ?? device.properties?.name ?? device.device_id
}

export function battery(device) {
  const level = device.properties.battery_level ?? device.properties.battery?.level
  return level === undefined || level === null ? undefined : `${Math.round(level * 100)} %`
}

export async function locks({ session, signal }) {
  const cards = h("ul", { class: "cards" })
  const search = field("Search", "search", { type: "search" })
  const count = h("p", { role: "status" })
  const pager = h("p", { class: "actions" })
  let page = 0
  let devices = []
  const refresh = session.onChange(async () => {
    const text = search.querySelector("input").value.trim()
    const found = await listDevices(session, text ? { search: text } : {})
    devices = found.devices
    page = Math.min(page, Math.max(0, Math.ceil(devices.length / PAGE) - 1))
    setText(count, `${plural(devices.length, "lock")}${found.hasMore ? " or more: search to find others" : ""}`)
    const visible = devices.slice(page * PAGE, (page + 1) * PAGE)
    const ids = visible.map((device) => device.device_id)
    const counts = ids.length > 0 ? (await session.inspect("access_codes/count", { device_ids: ids })).counts : []
    const items = visible.map((device) => ({ device: summary(device), count: counts.find((one) => one.device_id === device.device_id) }))
    keyed(cards, items, (item) => item.device.id, (item) => card(session, item))
    showPager()
  }, signal)
  const showPager = () => {
    const last = Math.ceil(devices.length / PAGE) - 1
    const to = (label, target) => button(label, () => { page = target; return refresh.run() }, { disabled: target < 0 || target > last })
    pager.replaceChildren(...(last > 0 ? [to("Previous", page - 1), h("span", {}, `Page ${page + 1} of ${last + 1}`), to("Next", page + 1)] : []))
  }
  search.addEventListener("input", () => attempt(refresh.run))
  await refresh.run()
  return [h("h1", {}, "Locks"), h("div", { class: "row" }, search, count), cards, pager, create(session)]
}

/** What a card shows of a device. */
function summary(device) {
  return {
    id: device.device_id, name: nameOf(device), type: device.device_type, online: device.properties.online,
    locked: device.properties.locked, battery: battery(device), isManaged: device.is_managed,
    errors: device.errors.map((error) => error.error_code), warnings: device.warnings.map((warning) => warning.warning_code),
  }
}

function card(session, { device, count }) {
  const statuses = Object.entries(count?.by_status ?? {}).map(([status, number]) =>
    h("li", {}, h("span", { class: "badge", "data-status": status }, `${number} ${status}`)))
  if (count?.unmanaged) statuses.push(h("li", {}, h("span", { class: "badge" }, `${count.unmanaged} unmanaged`)))
  if (count?.with_errors) statuses.push(h("li", {}, h("span", { class: "badge", "data-status": "error" }, `${count.with_errors} with errors`)))
  const bolt = device.locked === undefined || device.locked === null ? undefined : device.locked ? "locked" : "unlocked"
  const facts = [device.online ? "online" : "offline", bolt, device.battery && `battery ${device.battery}`, !device.isManaged && "unmanaged device"]
  return h("li", { class: "card", "data-online": String(device.online) },
    h("h2", {}, h("a", { href: `#/w/${session.id}/locks/${device.id}` }, device.name)),
    h("p", { class: "hint" }, words(device.type)),
    h("p", {}, h("span", { class: "badge", "data-status": device.online ? "set" : "error" }, facts[0]), " ", facts.slice(1).filter(Boolean).join(" · ")),
    device.errors.length > 0 && h("p", { class: "error" }, device.errors.join(", ")),
    device.warnings.length > 0 && h("p", { class: "warning" }, device.warnings.join(", ")),
    statuses.length > 0 ? h("ul", { class: "badges", "aria-label": "Access codes by status" }, statuses) : h("p", { class: "hint" }, "No access codes"))
}

function create(session) {
  const element = form("Add a lock", "Add", async ({ name, device_type, max_active_codes_supported: capacity }) => {
    const { device } = await session.control("devices/create", { device_type, ...(name && { name }), ...(capacity && { max_active_codes_supported: Number(capacity) }) })
    return `“${nameOf(device)}” was added.`
  }, h("div", { class: "row" }, field("Name", "name"), field("Type", "device_type", { value: "august_lock" }, BRANDS),
    field("Capacity (empty: that of the type)", "max_active_codes_supported", { type: "number", min: "1" })))
  return h("details", { class: "panel" }, h("summary", {}, "Add a lock"), element)
}
