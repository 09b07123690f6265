// Duration of one create_multiple that chooses one PIN, for 100 locks and for 500 locks. Five times the locks should take
// about five times as long. Environment:
//   BASE_URL     the server
//   FEW, MANY    the two numbers of locks (100, 500)
//   CODES        number of codes on each lock (65)
//   ROUNDS       number of measurements of each (5)
//   MOST_RATIO   maximum ratio of the medians (7); above it the script fails
import { client } from "./client.mjs"

const env = process.env
const sizes = [Number(env.FEW ?? 100), Number(env.MANY ?? 500)]
const codes = Number(env.CODES ?? 65)
const rounds = Number(env.ROUNDS ?? 5)
const mostRatio = Number(env.MOST_RATIO ?? 7)
const { post } = client()

// Each PIN is on ten locks, so that the locks together have many different PINs.
const SHARE = 10
async function createWorkspace(locks) {
  const spec = { device_type: "august_lock", supported_code_lengths: [4, 5, 6, 7, 8], max_active_codes_supported: 1000 }
  const clock = { held_at: "2026-01-01T12:00:00Z" }
  const workspace = await post("/_emulator/workspaces/create", { seed: `${locks} locks`, clock, locks: Array(locks).fill(spec) })
  const ids = workspace.devices.map((device) => device.device_id)
  let pin = 10_000_000
  for (let first = 0; first < locks; first += SHARE) {
    const device_ids = ids.slice(first, first + SHARE)
    for (let code = 0; code < codes; code++) {
      await post("/access_codes/create_multiple", { device_ids, code: `${pin++}`, name: `guest ${code}` }, workspace.api_key)
    }
  }
  await post("/_emulator/clock/advance", { by: "PT1H" }, workspace.api_key)
  return { ids, apiKey: workspace.api_key, times: [] }
}

const workspaces = []
for (const size of sizes) workspaces.push(await createWorkspace(size))
for (let round = -1; round < rounds; round++) {
  for (const { ids, apiKey, times } of workspaces) {
    const began = performance.now()
    const { access_codes } = await post("/access_codes/create_multiple", { device_ids: ids, name: `round ${round}` }, apiKey)
    const took = performance.now() - began
    if (new Set(access_codes.map((accessCode) => accessCode.code)).size !== 1) throw new Error("the locks do not share one PIN")
    // The first round is not measured.
    if (round >= 0) times.push(took)
  }
}
const median = (times) => times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]
const [few, many] = workspaces.map(({ times }) => median(times))
const ratio = many / few
console.log(JSON.stringify({ codes_on_each: codes, [`locks_${sizes[0]}_ms`]: few.toFixed(1), [`locks_${sizes[1]}_ms`]: many.toFixed(1),
  ratio: ratio.toFixed(2) }))
if (ratio > mostRatio) {
  console.error(`the ratio is above ${mostRatio}`)
  process.exitCode = 1
}
