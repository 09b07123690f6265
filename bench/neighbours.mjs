// Workspaces that share one server. Environment: BASE_URL, the server. The first argument selects the workspace:
//   watch SECONDS LABEL     a quiet workspace: a get every 5 ms, a new code every 200 ms. Prints the durations of the gets
//                           and the delays until the codes were set
//   travel SECONDS          a workspace that repeatedly moves its clock by years, exports and imports
//   crowd REQUESTS LOCKS    a workspace that sends this many create_multiple for this many locks at the same time
import { client } from "./client.mjs"

const [part, ...given] = process.argv.slice(2)
const { send, post } = client(1000)

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]
const locksOf = (count, more = {}) => Array.from({ length: count }, () => ({ device_type: "august_lock", supported_code_lengths: [8], ...more }))

async function watch(seconds, label) {
  const workspace = await post("/_emulator/workspaces/create", { locks: 2, clock: "live" })
  const device_ids = workspace.devices.map((device) => device.device_id)
  const first = await post("/access_codes/create", { device_id: device_ids[0] }, workspace.api_key)
  const took = []
  const end = performance.now() + seconds * 1000
  const gets = async () => {
    while (performance.now() < end) {
      const begun = performance.now()
      await post("/access_codes/get", { access_code_id: first.access_code.access_code_id }, workspace.api_key)
      took.push(performance.now() - begun)
      await sleep(5)
    }
  }
  const creates = async () => {
    while (performance.now() < end) {
      await post("/access_codes/create", { device_id: device_ids[1] }, workspace.api_key)
      await sleep(200)
    }
  }
  await Promise.all([gets(), creates()])
  await sleep(1000)
  const { events } = await post("/events/list", { since: "2000-01-01T00:00:00Z", event_type: "access_code.set_on_device", limit: 1000 }, workspace.api_key)
  const late = events.map((event) => Date.parse(event.created_at) - Date.parse(event.occurred_at)).sort((a, b) => a - b)
  took.sort((a, b) => a - b)
  const ms = (number) => `${number.toFixed(1)} ms`
  console.log(
    `${label}: ${took.length} gets, p50 ${ms(quantile(took, 0.5))}, p99 ${ms(quantile(took, 0.99))}, max ${ms(took.at(-1))};`,
    `${late.length} codes set, p50 ${quantile(late, 0.5)} ms late, at most ${late.at(-1)} ms`,
  )
}

async function travel(seconds) {
  const workspace = await post("/_emulator/workspaces/create", { clock: { held_at: "2026-01-01T12:00:00Z" }, locks: locksOf(50) })
  const device_ids = workspace.devices.map((device) => device.device_id)
  for (let nth = 0; nth < 100; nth++) {
    const at = (days) => new Date(Date.parse("2026-01-01T12:00:00Z") + (nth * 3 + days) * 86_400_000).toISOString()
    await post("/access_codes/create_multiple", { device_ids, code: String(10_000_000 + nth), starts_at: at(2), ends_at: at(4) }, workspace.api_key)
  }
  // No further code can be set on one lock. The operations are retried during the whole advance.
  await post("/_emulator/faults/create", { operation: "set", device_id: device_ids[0], outcome: { fail: {} } }, workspace.api_key)
  await post("/access_codes/create", { device_id: device_ids[0] }, workspace.api_key)
  const { snapshot_id } = await post("/_emulator/snapshots/create", {}, workspace.api_key)
  const counts = { advances: 0, refused: 0, exports: 0, imports: 0 }
  const end = performance.now() + seconds * 1000
  while (performance.now() < end) {
    // Advances by a year, and then by 18 years, which may be rejected because it has too many steps.
    const moved = await post("/_emulator/clock/advance", { by: "P366D" }, workspace.api_key)
    counts.advances++
    counts.steps = moved.transitions
    const far = await send("/_emulator/clock/advance", { by: "P6570D" }, workspace.api_key)
    if (far.status === 400) counts.refused++
    const exported = await send("/_emulator/snapshots/export", undefined, workspace.api_key, "GET")
    counts.exports++
    const body = exported.text().replace(/,"ok":true}$/, "}")
    await post("/_emulator/snapshots/import", JSON.parse(body), workspace.api_key)
    counts.imports++
    counts.bytes = body.length
    await post("/_emulator/snapshots/restore", { snapshot_id }, workspace.api_key)
  }
  console.log("  traveller:", JSON.stringify(counts))
}

async function crowd(requests, locks) {
  const workspace = await post("/_emulator/workspaces/create", { locks: locksOf(locks) })
  const device_ids = workspace.devices.map((device) => device.device_id)
  const begun = performance.now()
  const responses = await Promise.all(Array.from({ length: requests }, () => send("/access_codes/create_multiple", { device_ids }, workspace.api_key)))
  const statuses = {}
  for (const { status } of responses) statuses[status] = (statuses[status] ?? 0) + 1
  console.log(`  crowd: ${requests} create_multiple over ${locks} locks in ${((performance.now() - begun) / 1000).toFixed(1)} s`, JSON.stringify(statuses))
}

await { watch: () => watch(Number(given[0]), given[1]), travel: () => travel(Number(given[0])), crowd: () => crowd(...given.map(Number)) }[part]()
