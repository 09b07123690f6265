// Codes that all start at the same instant: the time until all of them are set, and the durations of other requests
// meanwhile. Environment:
//   BASE_URL      the server
//   DATABASE      its database for psql, to count events
//   CODES         number of codes (100000)
//   LOCKS         number of locks (1000)
//   KIND          native: the locks already store the codes; just_in_time: the codes are programmed then
//   OF            codes: created with /access_codes/create_multiple; grants: each code is that of an access grant
//   CONNECTIONS   number of connections for the other requests (8)
//   DURATION      seconds of other requests (14)
import { execFile, spawn } from "node:child_process"
import { promisify } from "node:util"
import { client } from "./client.mjs"

const env = process.env
const codes = Number(env.CODES ?? 100_000)
const locks = Number(env.LOCKS ?? 1_000)
const native = (env.KIND ?? "native") === "native"
const of_grants = env.OF === "grants"
const { post: send } = client()
let apiKey
const post = (path, body) => send(path, body, apiKey)

const psql = (statement) => promisify(execFile)("psql", ["-qAt", env.DATABASE, "-c", statement])
const number = async (statement) => Number((await psql(statement)).stdout)
const count = () => number("select count(*) from event where event_type = 'access_code.set_on_device'")

const last = () => number("select last_value from event_sequence_seq")

/** Seconds that PostgreSQL takes to write all access codes and the events after this one, with `insert ... select` into
 * tables with the same indexes. */
async function insertSelect(lastEvent) {
  const { stderr } = await psql(`do $$
    declare begun timestamptz;
    begin
      create table copied_access_code (like access_code including all);
      create table copied_event (like event including all);
      begun := clock_timestamp();
      insert into copied_access_code overriding system value select * from access_code;
      insert into copied_event overriding system value select * from event where sequence > ${lastEvent};
      raise notice 'seconds %', extract(epoch from clock_timestamp() - begun);
      drop table copied_access_code, copied_event;
    end $$`)
  return Number(/seconds ([\d.]+)/.exec(stderr)[1])
}

const lock = {
  device_type: "august_lock", supported_code_lengths: [8], native_scheduling: native, supports_backup_access_code_pool: false,
}
const day = 86_400_000
const now = Date.parse("2026-06-01T12:00:00Z")
const startsAt = now + 10 * day
const iso = (instant) => new Date(instant).toISOString()
const clock = { held_at: iso(now) }
const workspace = await post("/_emulator/workspaces/create", { clock, locks: Array(locks).fill(lock) })
apiKey = workspace.api_key
const ids = workspace.devices.map((device) => device.device_id)
const sample = []
let pin = 10_000_000
const createGrant = async (number) => {
  const { access_grant } = await post("/access_grants/create", {
    user_identity: { full_name: `Guest ${number}` },
    device_ids: [ids[number % ids.length]],
    requested_access_methods: [{ mode: "code" }],
    starts_at: iso(startsAt), ends_at: iso(startsAt + day),
  })
  if (number % ids.length === 0) {
    const filter = { access_grant_id: access_grant.access_grant_id }
    sample.push((await post("/access_codes/list", filter)).access_codes[0].access_code_id)
  }
}
const creating = performance.now()
if (of_grants) {
  let next = 0
  const create = async () => {
    while (next < codes) await createGrant(next++)
  }
  await Promise.all(Array.from({ length: 8 }, create))
}
for (let created = of_grants ? codes : 0; created < codes; ) {
  for (let first = 0; first < ids.length && created < codes; first += 500) {
    const device_ids = ids.slice(first, Math.min(first + 500, first + codes - created))
    const frame = { starts_at: iso(startsAt), ends_at: iso(startsAt + day) }
    const { access_codes } = await post("/access_codes/create_multiple", { device_ids, code: `${pin++}`, ...frame })
    sample.push(access_codes[0].access_code_id)
    created += device_ids.length
  }
}
const created_s = (performance.now() - creating) / 1000
// Moves the clock to two seconds before the work begins. Everything before that is done.
const begins = native ? startsAt : startsAt - 3_600_000
const moved = performance.now()
await post("/_emulator/clock/advance", { to: iso(begins - 2_000) })
const advanced = (performance.now() - moved) / 1000
const before = await count()
const lastEvent = await last()

// The other requests: wrk sends them as fast as it gets responses.
const script = `
  local ids, at = { ${sample.map((id) => `"${id}"`).join(",")} }, 0
  request = function()
    at = at % #ids + 1
    return wrk.format("POST", "/access_codes/get",
      { ["Authorization"] = "Bearer ${apiKey}", ["Content-Type"] = "application/json" },
      '{"access_code_id":"' .. ids[at] .. '"}')
  end
  done = function(summary, latency)
    io.write(string.format("RESULT %.3f %.3f %d %d\\n", latency:percentile(50) / 1000, latency:percentile(99) / 1000,
      summary.requests, summary.errors.status))
  end`
const { mkdtempSync, writeFileSync } = await import("node:fs")
const file = `${mkdtempSync("/tmp/latchkey-bench-")}/get.lua`
writeFileSync(file, script)

await post("/_emulator/clock/run", { rate: 1 })
const due = performance.now() + 2_000
const connections = env.CONNECTIONS ?? "8"
const wrk = spawn("wrk", ["-t1", `-c${connections}`, `-d${env.DURATION ?? 14}s`, "--timeout", "30s", "-s", file, env.BASE_URL])
let output = ""
wrk.stdout.on("data", (chunk) => (output += chunk))
const finished = new Promise((resolve) => wrk.on("close", resolve))
let done = null
while (done === null && performance.now() < due + 120_000) {
  await new Promise((resolve) => setTimeout(resolve, 100))
  // Counting takes time that the server needs, so it waits until there are enough events of all types.
  if ((await last()) - lastEvent < codes) continue
  if ((await count()) - before >= codes) done = (performance.now() - due) / 1000
}
await finished
const reference = await insertSelect(lastEvent)
const [, p50, p99, requests, errors] = /RESULT (\S+) (\S+) (\d+) (\d+)/.exec(output) ?? []
console.log(JSON.stringify({
  kind: native ? "native" : "just_in_time", of: env.OF ?? "codes", codes, locks, create_s: created_s.toFixed(1), advance_s: advanced.toFixed(1),
  all_set_s: done?.toFixed(1) ?? "not within 120 s", insert_select_s: reference.toFixed(1),
  ratio: (done / reference).toFixed(2), get_p50_ms: p50, get_p99_ms: p99, gets: requests, non_2xx: errors,
}))
