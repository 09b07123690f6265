// How long one create_multiple takes that chooses one PIN for a hundred locks, and for five hundred: five times the
// locks are to cost about five times as much. From the environment:
//   BASE_URL     the server
//   FEW, MANY    how many locks (100, 500)
//   CODES        how many codes each lock has (65)
//   ROUNDS       how often each is measured (5)
//   MOST_RATIO   fails if the ratio of the medians is higher (7)
import { client } from "./client.mjs"

const env = process.env
const sizes = [Number(env.FEW ?? 100), Number(env.MANY ?? 500)]
const codes = Number(env.CODES ?? 65)
const rounds = Number(env.ROUNDS ?? 5)
const mostRatio = Number(env.MOST_RATIO ?? 7)
const { post } = client()

// Ten locks at a time share a PIN, so that the locks have many different ones between them.
const SHARE = 10
async function world(locks) {
  const spec = { device_type: "august_lock", supported_code_lengths: [4, 5, 6, 7, 8], max_active_codes_supported: 1000 }
  const clock = { held_at: "2026-01-01T12:00:00Z" }
  const made = await post("/_emulator/workspaces/create", { seed: `${locks} locks`, clock, locks: Array(locks).fill(spec) })
  const ids = made.devices.map((device) => device.device_id)
  let pin = 10_000_000
  for (let first = 0; first < locks; first += SHARE) {
    const device_ids = ids.slice(first, first + SHARE)
    for (let code = 0; code < codes; code++) {
      await post("/access_codes/create_multiple", { device_ids, code: `${pin++}`, name: `guest ${code}` }, made.api_key)
    }
  }
  await post("/_emulator/clock/advance", { by: "PT1H" }, made.api_key)
  return { ids, apiKey: made.api_key, times: [] }
}

const worlds = []
for (const size of sizes) worlds.push(await world(size))
for (let round = -1; round < rounds; round++) {
  for (const { ids, apiKey, times } of worlds) {
    const began = performance.now()
    const { access_codes } = await post("/access_codes/create_multiple", { device_ids: ids, name: `round ${round}` }, apiKey)
    const took = performance.now() - began
    if (new Set(access_codes.map((it) => it.code)).size !== 1) throw new Error("the locks do not share one PIN")
    // The first round is not measured.
    if (round >= 0) times.push(took)
  }
}
const median = (times) => times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]
const [few, many] = worlds.map(({ times }) => median(times))
const ratio = many / few
console.log(JSON.stringify({ codes_on_each: codes, [`locks_${sizes[0]}_ms`]: few.toFixed(1), [`locks_${sizes[1]}_ms`]: many.toFixed(1),
  ratio: ratio.toFixed(2) }))
if (ratio > mostRatio) {
  console.error(`the ratio is above ${mostRatio}`)
  process.exitCode = 1
}
