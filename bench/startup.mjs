// node startup.mjs LATCHKEY PORT RUNS FOLDER OUT
// Measures the time from the start of the process to the first 200 of GET /health: for the first start, which creates
// the database, and for the second start with the same data directory. Then measures the resident memory of the idle
// server process, without PostgreSQL. For comparison, measures what initdb and postgres alone take in the same run. Prints
// medians of RUNS. PG_BIN_DIR: the directory of these programs.
import { execFileSync, spawn } from "node:child_process"
import { appendFileSync, chownSync, mkdirSync, openSync, readdirSync, readFileSync } from "node:fs"
import http from "node:http"
import net from "node:net"
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

const installed = () => readdirSync("/usr/lib/postgresql").sort((a, b) => b - a)[0]
const programs = process.env.PG_BIN_DIR ?? `/usr/lib/postgresql/${installed()}/bin`
// PostgreSQL does not run as root.
const id = (option) => Number(execFileSync("id", [option, "postgres"]))
const account = process.getuid() === 0 ? { uid: id("-u"), gid: id("-g") } : {}

/** Resolves to true if the PostgreSQL at this socket accepts a connection. */
const accepts = (path) =>
  new Promise((resolve) => {
    const parameters = Buffer.from("user\0postgres\0database\0postgres\0\0")
    const head = Buffer.alloc(8)
    head.writeUInt32BE(8 + parameters.length)
    head.writeUInt32BE(196608, 4)
    const socket = net.connect(path, () => socket.write(Buffer.concat([head, parameters])))
    socket.once("data", (data) => { socket.destroy(); resolve(data[0] === "R".charCodeAt(0)) })
    socket.on("error", () => resolve(false))
  })

/** Creates a cluster, unless it exists, and starts it. Returns the time until it accepts a connection. */
async function measurePostgres(directory, isNew) {
  const begun = performance.now()
  const data = join(directory, "data")
  if (isNew) {
    const options = ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-instructions"]
    execFileSync(join(programs, "initdb"), [...options, "--wal-segsize=1"], { ...account, stdio: "ignore" })
  }
  const settings = ["listen_addresses=", `unix_socket_directories=${directory}`].flatMap((setting) => ["-c", setting])
  const server = spawn(join(programs, "postgres"), ["-D", data, ...settings], { ...account, stdio: "ignore" })
  const exited = new Promise((resolve) => server.on("exit", resolve))
  try {
    while (!(await accepts(join(directory, ".s.PGSQL.5432")))) {
      if (server.exitCode !== null || performance.now() - begun > GIVE_UP_MS) throw new Error("postgres did not start")
      await sleep(1)
    }
    return { ms: performance.now() - begun, rss_mb: 0 }
  } finally {
    server.kill("SIGINT")
    await exited
  }
}

if (await healthy()) throw new Error(`another server answers on port ${port}: set PORT`)
const starts = { first: [], second: [], "initdb and postgres": [], "postgres": [] }
for (let run = 0; run < Number(runs); run++) {
  const dataDir = join(folder, `data-${run}`)
  starts.first.push(await measure(dataDir))
  starts.second.push(await measure(dataDir))
  const alone = join(folder, `alone-${run}`)
  mkdirSync(alone)
  if (account.uid) chownSync(alone, account.uid, account.gid)
  starts["initdb and postgres"].push(await measurePostgres(alone, true))
  starts.postgres.push(await measurePostgres(alone, false))
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1]
console.log("| start | to the first 200 of /health, or to the first connection, ms | fastest–slowest | idle memory, MB |\n| --- | --- | --- | --- |")
for (const [start, measured] of Object.entries(starts)) {
  const times = measured.map(({ ms }) => Math.round(ms))
  const row = { start, ms: median(times), min_ms: Math.min(...times), max_ms: Math.max(...times),
    rss_mb: Number(median(measured.map(({ rss_mb }) => rss_mb)).toFixed(1)) }
  appendFileSync(out, `${JSON.stringify({ at: new Date().toISOString(), ...row })}\n`)
  console.log(`| ${start} | ${row.ms} | ${row.min_ms}–${row.max_ms} | ${row.rss_mb || ""} |`)
}
