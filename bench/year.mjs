// Duration and memory of one advance of the clock by a year, in which 10,000 codes are set, begin, end and are removed.
// Environment:
//   BASE_URL    the server
//   PID         its process id, to measure its memory
//   CODES       number of codes (10000)
//   LOCKS       number of locks (100). Half of them use native scheduling
import { readFileSync } from "node:fs"
import { client } from "./client.mjs"

const env = process.env
const codes = Number(env.CODES ?? 10_000)
const locks = Number(env.LOCKS ?? 100)
const { post: send } = client()
let apiKey
const post = (path, body) => send(path, body, apiKey)

const memory = (name) =>
  env.PID ? Math.round(Number(readFileSync(`/proc/${env.PID}/status`, "utf8").match(new RegExp(`${name}:\\s+(\\d+)`))[1]) / 1024) : null

const hour = 3_600_000
const day = 24 * hour
const now = Date.parse("2026-01-01T12:00:00Z")
const iso = (instant) => new Date(instant).toISOString()
const specs = Array.from({ length: locks }, (_, place) => ({
  device_type: place % 2 ? "ttlock_lock" : "august_lock",
  supported_code_lengths: [8],
  native_scheduling: place % 4 < 2,
}))
const workspace = await post("/_emulator/workspaces/create", { seed: "a year", clock: { held_at: iso(now) }, locks: specs })
apiKey = workspace.api_key
const ids = workspace.devices.map((device) => device.device_id)

// A tenth of the codes is ongoing. Half of these are updated and half are deleted; this work is pending when the year
// begins. The other codes begin and end during the year, each group of locks at a different hour.
const ongoing = []
const groups = 5
const perGroup = Math.ceil(locks / groups)
let created = 0
for (let pin = 10_000_000; created < codes; pin++) {
  const first = ((pin - 10_000_000) % groups) * perGroup
  const device_ids = ids.slice(first, Math.min(first + perGroup, first + codes - created))
  if (!device_ids.length) continue
  const params = { device_ids, code: `${pin}`, name: `guest ${pin}` }
  if (created >= codes / 10) {
    const startsAt = now + ((created * 7919) % (350 * 24)) * hour
    params.starts_at = iso(startsAt)
    params.ends_at = iso(startsAt + (1 + (pin % 14)) * day)
  }
  const { access_codes } = await post("/access_codes/create_multiple", params)
  if (!params.starts_at) ongoing.push(...access_codes)
  created += device_ids.length
}
await post("/_emulator/clock/advance", { by: "PT1S" })
for (const [place, { access_code_id }] of ongoing.entries()) {
  if (place % 2) await post("/access_codes/update", { access_code_id, name: `moved ${place}` })
  else await post("/access_codes/delete", { access_code_id })
}
await post("/_emulator/faults/create", { operation: "set", outcome: { fail: {} }, times: Math.ceil(codes / 100) })

const before = memory("VmRSS")
const began = performance.now()
const { transitions, events } = await post("/_emulator/clock/advance", { by: "P366D" })
const seconds = (performance.now() - began) / 1000
console.log(JSON.stringify({ codes: created, locks, transitions, events, advance_s: seconds.toFixed(2),
  steps_per_s: Math.round(transitions / seconds), rss_before_mb: before, rss_peak_mb: memory("VmHWM"), rss_after_mb: memory("VmRSS") }))
