// Servers on one database, as child processes. All of them are killed when this process ends.
import { spawn } from "node:child_process"
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Connection } from "./connection.mjs"
import { within, sleep } from "./waits.mjs"

const { LATCHKEY, WORK, PORT } = process.env
const START_LIMIT_MS = 30_000

const running = new Set()
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")))
for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]]) process.on(signal, () => process.exit(code))

export class Server {
  /** The place of the server among the others, from 0. */
  constructor(place) {
    this.place = place
    this.port = Number(PORT) + 1 + place
    this.url = `http://127.0.0.1:${this.port}`
    this.log = join(WORK, `server-${place}.log`)
    /** A text for each time that the process ended without being killed here. */
    this.ends = []
  }

  /**
   * Starts the process. Returns the milliseconds until it answers a request: the first 200 of /ready, and then an
   * authenticated request that reads the database.
   */
  async start() {
    const log = openSync(this.log, "a")
    const begun = performance.now()
    const child = spawn(LATCHKEY, ["--port", String(this.port)], { stdio: ["ignore", log, log] })
    closeSync(log)
    running.add(child)
    this.child = child
    this.exited = new Promise((resolve) => child.once("exit", (code, signal) => resolve(signal ?? code))).then((how) => {
      running.delete(child)
      if (this.isKilled) return
      this.ends.push(`the server on port ${this.port} ended by itself: ${how}`)
      console.error(`${this.ends.at(-1)}\n${this.tail()}`)
    })
    this.isKilled = false
    const pidFile = join(WORK, `server-${this.place}.pid`)
    writeFileSync(pidFile, String(child.pid))
    this.exited.then(() => rmSync(pidFile, { force: true }))
    while (!(await this.#answers())) {
      if (child.exitCode !== null || performance.now() - begun > START_LIMIT_MS) {
        throw new Error(`the server on port ${this.port} did not start: ${this.tail()}`)
      }
      await sleep(2)
    }
    return performance.now() - begun
  }

  async #answers() {
    const connection = new Connection(this.port)
    try {
      if ((await connection.send(READY)).status !== 200) return false
      return (await connection.post("/devices/get", { device_id: SANDBOX_LOCK }, SANDBOX_KEY)).status === 200
    } catch {
      return false
    } finally {
      connection.close()
    }
  }

  /** Kills the process, and waits until it is gone. */
  async kill() {
    this.isKilled = true
    this.child.kill("SIGKILL")
    await within(10_000, "a killed server is gone", this.exited)
  }

  /** Returns the end of the output of the server. */
  tail() {
    return readFileSync(this.log, "utf8").slice(-1000)
  }

  /** Returns the lines of the log that report an error or a panic, and the ends that nobody requested. */
  errors() {
    const lines = readFileSync(this.log, "utf8").split("\n")
    return [...lines.filter((line) => /\bERROR\b|panic/.test(line)), ...this.ends]
  }
}

const READY = "GET /ready HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"

/** The default sandbox, which every server has. */
const SANDBOX_KEY = "seam_testsand_LatchkeySandbox"
const SANDBOX_LOCK = "00000000-0000-4000-8000-000000000101"
