// The file that tells load.lua what a prepared server holds.
import { writeFileSync } from "node:fs"

const lua = (value) =>
  Array.isArray(value) ? `{${value.map(lua).join(",")}}` : JSON.stringify(value)

/** Ids the `get` scenario rotates over: enough to spread over a large store, few enough for one Lua table. */
export const MAX_IDS = 5000

/** Codes on the device that the `list` scenario asks for, whatever the store holds besides. */
export const LIST_CODES = 10

/** Writes `path`; `devices` leaves out `list_device`, whose ten codes no other scenario may touch. */
export function writeState(path, { api_key, list_device, devices, ids }) {
  const fields = { api_key, list_device, devices, ids }
  const text = Object.entries(fields).map(([name, value]) => `${name}=${lua(value)}`)
  writeFileSync(path, `return {${text.join(",\n")}}\n`)
}
