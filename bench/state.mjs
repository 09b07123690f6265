// The state file: the key, the locks and the code ids of a prepared server, for load.lua.
import { writeFileSync } from "node:fs"

const lua = (value) =>
  Array.isArray(value) ? `{${value.map(lua).join(",")}}` : JSON.stringify(value)

/** Maximum number of ids for the `get` scenario: enough for a large store, few enough for one Lua table. */
export const MAX_IDS = 5000

/** Number of codes on the device of the `list` scenario, for every store size. */
export const LIST_CODES = 10

/** Writes the file. `devices` excludes `list_device`, because no other scenario may change its ten codes. */
export function writeState(path, { api_key, list_device, devices, ids }) {
  const fields = { api_key, list_device, devices, ids }
  const text = Object.entries(fields).map(([name, value]) => `${name}=${lua(value)}`)
  writeFileSync(path, `return {${text.join(",\n")}}\n`)
}
