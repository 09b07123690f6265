// Memory that one very long list adds to the server, and how long the response takes.
//   node lists.mjs create               creates the listed objects, and prints the lists as JSON
//   node lists.mjs measure FILE INDEX   measures one of the lists in this file
// Environment:
//   BASE_URL    the server
//   PID         its process id, to measure its memory
//   CODES       number of access codes of one lock (55000)
//   LOCKS       number of locks, managed and unmanaged ones (10000)
//   ROUNDS      number of measurements of each list (3); the greatest is printed
import { readFileSync, writeFileSync } from "node:fs"
import { client } from "./client.mjs"

const env = process.env
const codes = Number(env.CODES ?? 55_000)
const locks = Number(env.LOCKS ?? 10_000)
const rounds = Number(env.ROUNDS ?? 3)
const { send, post } = client(64)

const status = (name) =>
  Math.round(Number(readFileSync(`/proc/${env.PID}/status`, "utf8").match(new RegExp(`${name}:\\s+(\\d+)`))[1]) / 1024)
/** Makes the present memory the peak. */
const reset_peak = () => writeFileSync(`/proc/${env.PID}/clear_refs`, "5")

const clock = { held_at: "2026-01-01T00:00:00Z" }
const create_workspace = (specs) => post("/_emulator/workspaces/create", { locks: specs, clock })

/** Creates the listed objects, and returns the lists: path, number of objects, parameters, API key. */
async function create() {
  const lock = { device_type: "august_lock", max_active_codes_supported: null, supported_code_lengths: [8] }
  const one = await create_workspace([lock])
  const device_id = one.devices[0].device_id
  let created = 0
  const create_codes = async () => {
    while (created < codes) {
      const code = String(10_000_000 + created++)
      await post("/access_codes/create", { device_id, code, name: `Guest ${code}` }, one.api_key)
    }
  }
  await Promise.all(Array.from({ length: 64 }, create_codes))
  await post("/_emulator/clock/advance", { by: "PT1H" }, one.api_key)
  const managed = await create_workspace(Array(locks).fill({ device_type: "august_lock" }))
  const unmanaged = await create_workspace(Array(locks).fill({ device_type: "august_lock", is_managed: false }))
  return [
    ["/access_codes/list", codes, { device_id }, one.api_key],
    ["/locks/list", locks, {}, managed.api_key],
    ["/devices/unmanaged/list", locks, {}, unmanaged.api_key],
  ]
}

/** Prints a row with the greatest of the measured values of a list. */
async function measure([path, number, params, api_key]) {
  const measured = []
  for (let round = 0; round < rounds; round++) {
    reset_peak()
    const before = status("VmRSS")
    const begun = performance.now()
    const response = await send(path, params, api_key)
    const seconds = (performance.now() - begun) / 1000
    const added = status("VmHWM") - before
    const text = response.text()
    const list = Object.values(JSON.parse(text)).find(Array.isArray)
    if (list?.length !== number) throw new Error(`${path} returned ${list?.length} of ${number}`)
    measured.push({ megabytes: Math.round(text.length / 1e6), seconds, added })
  }
  const greatest = (name) => Math.max(...measured.map((values) => values[name]))
  console.log(`| ${path} | ${number} | ${greatest("megabytes")} | ${greatest("seconds").toFixed(2)} | ${greatest("added")} |`)
}

const [command, file, index] = process.argv.slice(2)
if (command === "create") console.log(JSON.stringify(await create()))
else await measure(JSON.parse(readFileSync(file, "utf8"))[Number(index)])
process.exit(0)
