// node startup.mjs LATCHKEY PORT RUNS FOLDER OUT
// Measures the time from the start of the process to the first 200 of GET /health: for the first start, which creates
// the database, and for the second start with the same data directory. Then measures the resident memory of the idle
// server process, without PostgreSQL. Prints medians of RUNS.
import { execFileSync, spawn } from "node:child_process"
import { appendFileSync, openSync, readFileSync } from "node:fs"
import http from "node:http"
import { join } from "node:path"

const [latchkey, port, runs, folder, out] = process.argv.slice(2)
const GIVE_UP_MS = 60_000
const IDLE_MS = 2_000
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

const healthy = () =>
  new Promise((resolve) => {
    const request = http.get({ host: "127.0.0.1", port, path: "/health", agent: false }, (response) => {
      response.resume()
      response.on("end", () => resolve(response.statusCode === 200))
    })
    request.on("error", () => resolve(false))
  })

/** Starts the server with `dataDir`, and stops it. Returns its start-up time and its idle memory. */
async function measure(dataDir) {
  const log = join(folder, "server.log")
  const begun = performance.now()
  const server = spawn(latchkey, ["--port", port, "--data-dir", dataDir], {
    stdio: ["ignore", openSync(log, "w"), openSync(log, "a")],
  })
  const exited = new Promise((resolve) => server.on("exit", resolve))
  try {
    while (!(await healthy())) {
      if (server.exitCode !== null || performance.now() - begun > GIVE_UP_MS) {
        throw new Error(`the server did not start: ${readFileSync(log, "utf8").slice(-500)}`)
      }
      await sleep(1)
    }
    const ms = performance.now() - begun
    await sleep(IDLE_MS)
    const rss_kib = Number(execFileSync("ps", ["-o", "rss=", "-p", String(server.pid)]))
    return { ms, rss_mb: rss_kib / 1024 }
  } finally {
    server.kill("SIGTERM")
    await exited
  }
}

if (await healthy()) throw new Error(`another server answers on port ${port}: set PORT`)
const starts = { first: [], second: [] }
for (let run = 0; run < Number(runs); run++) {
  const dataDir = join(folder, `data-${run}`)
  starts.first.push(await measure(dataDir))
  starts.second.push(await measure(dataDir))
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1]
console.log("| start | to the first 200 of /health, ms | fastest–slowest | idle memory, MB |\n| --- | --- | --- | --- |")
for (const [start, measured] of Object.entries(starts)) {
  const times = measured.map(({ ms }) => Math.round(ms))
  const row = { start, ms: median(times), min_ms: Math.min(...times), max_ms: Math.max(...times),
    rss_mb: Number(median(measured.map(({ rss_mb }) => rss_mb)).toFixed(1)) }
  appendFileSync(out, `${JSON.stringify({ at: new Date().toISOString(), ...row })}\n`)
  console.log(`| ${start} | ${row.ms} | ${row.min_ms}–${row.max_ms} | ${row.rss_mb} |`)
}
