// Requests per second, and transitions per second of a backlog, with one, two and three servers on one database. Each round
// measures all of them, one after the other, so that they have the same disturbances. Environment:
//   PROCESSES      numbers of servers ("1 2 3")
//   CONNECTIONS    numbers of connections of all clients together ("1 16"); they are distributed among the servers
//   SECONDS_EACH   seconds of each measurement of a rate (4)
//   BACKLOG        number of transitions that fall due at once (100000)
//   ROUNDS         number of rounds (3); the medians are printed
import { Worker } from "node:worker_threads"
import { client } from "../client.mjs"
import { isIdle } from "./database.mjs"
import { Server } from "./servers.mjs"
import { median, until, within } from "./waits.mjs"

const env = process.env
const processes = (env.PROCESSES ?? "1 2 3").split(" ").map(Number)
const connections = (env.CONNECTIONS ?? "1 16").split(" ").map(Number)
const seconds = Number(env.SECONDS_EACH ?? 4)
const backlog = Number(env.BACKLOG ?? 100_000)
const rounds = Number(env.ROUNDS ?? 3)

const LOCKS = 64
const STORED = 1_000
const BACKLOG_LOCKS = 1_000
const BACKLOG_LIMIT_MS = 300_000

/** Transitions of a code of the backlog: start, end, begin and confirmation of the removal. */
const TRANSITIONS_OF_CODE = 4
const lock = {
  device_type: "august_lock",
  native_scheduling: true,
  supported_code_lengths: [8],
  max_active_codes_supported: null,
}

/** Runs the clients of one measurement in a thread of their own. Returns the requests per second. */
async function rate_of(workerData) {
  const worker = new Worker(new URL("./requests.mjs", import.meta.url), { workerData: { ...workerData, seconds } })
  const done = new Promise((resolve, reject) => {
    worker.once("message", resolve)
    worker.once("error", reject)
  })
  return within(60_000 + seconds * 1000, "the end of the requests", done)
}

/** Returns the rates of both kinds of requests for each number of connections, in a new workspace. */
async function request_rates(servers) {
  const { post } = client(8, servers[0].url)
  const ports = servers.map(({ port }) => port)
  const rates = {}
  for (const count of connections) {
    const { api_key, devices } = await post("/_emulator/workspaces/create", { locks: Array(LOCKS).fill(lock) })
    const locks = devices.map(({ device_id }) => device_id)
    const ids = []
    for (let pin = 10_000_000; ids.length < STORED; pin++) {
      const { access_codes } = await post("/access_codes/create_multiple", { device_ids: locks, code: String(pin) }, api_key)
      ids.push(...access_codes.map(({ access_code_id }) => access_code_id))
    }
    await until(BACKLOG_LIMIT_MS, "the codes are set", isIdle)
    for (const kind of ["get", "create"]) rates[`${kind}, ${count}`] = await rate_of({ ports, api_key, locks, ids, count, kind })
    await until(BACKLOG_LIMIT_MS, "the codes are set", isIdle)
    await post("/_emulator/workspaces/delete", {}, api_key)
  }
  return rates
}

/** Returns the transitions per second of codes whose whole life falls due within a tenth of a second. */
async function backlog_rate(servers) {
  const { post } = client(1, servers[0].url)
  const instant = (hours) => new Date(Date.parse("2026-06-01T12:00:00Z") + hours * 3_600_000).toISOString()
  const params = { clock: { held_at: instant(0) }, programming: "at_once", locks: Array(BACKLOG_LOCKS).fill(lock) }
  const { api_key, devices } = await post("/_emulator/workspaces/create", params)
  const ids = devices.map(({ device_id }) => device_id)
  const codes = Math.ceil(backlog / TRANSITIONS_OF_CODE)
  for (let done = 0, pin = 10_000_000; done < codes; pin++) {
    const first = done % ids.length
    const device_ids = ids.slice(first, Math.min(first + 500, first + codes - done))
    const frame = { starts_at: instant(1), ends_at: instant(2) }
    await post("/access_codes/create_multiple", { device_ids, code: String(pin), ...frame }, api_key)
    done += device_ids.length
  }
  await post("/_emulator/clock/run", { rate: 100_000 }, api_key)
  const begun = performance.now()
  await until(BACKLOG_LIMIT_MS, "the backlog is done", isIdle)
  const took = (performance.now() - begun) / 1000
  const { access_codes } = await post("/access_codes/list", { device_id: ids[0] }, api_key)
  if (access_codes.length) throw new Error(`${access_codes.length} codes did not end`)
  await post("/_emulator/workspaces/delete", {}, api_key)
  return Math.round((codes * TRANSITIONS_OF_CODE) / took)
}

/** Runs this part, and prints the medians, and their ratios to those of the first number of servers. */
export async function run_rates() {
  const measured = new Map(processes.map((count) => [count, {}]))
  for (let round = 0; round < rounds; round++) {
    for (const count of processes) {
      console.error(`round ${round + 1}: ${count} servers`)
      const servers = Array.from({ length: count }, (_, place) => new Server(place))
      for (const server of servers) await server.start()
      const rates = { ...(await request_rates(servers)), transitions: await backlog_rate(servers) }
      for (const [name, rate] of Object.entries(rates)) (measured.get(count)[name] ??= []).push(rate)
      for (const server of servers) await server.kill()
    }
  }
  const names = Object.keys(measured.get(processes[0]))
  console.log(`| servers | ${names.map((name) => (name === "transitions" ? "backlog, transitions" : name)).join(" | ")} |`)
  console.log(`| --- |${" --- |".repeat(names.length)}`)
  for (const [count, rates] of measured) {
    const cells = names.map((name) => {
      const [own, first] = [median(rates[name]), median(measured.get(processes[0])[name])]
      return count === processes[0] ? `${own}/s` : `${own}/s, ${(own / first).toFixed(2)}×`
    })
    console.log(`| ${count} | ${cells.join(" | ")} |`)
  }
}
