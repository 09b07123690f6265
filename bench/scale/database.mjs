// SQL on the database of the servers, by psql.
import { spawn } from "node:child_process"
import { within } from "./waits.mjs"

const LIMIT_MS = 300_000

/** Runs a script with psql. Calls `row` with the columns of each row of the output, and returns nothing. */
export function sql(script, row) {
  const arguments_ = ["-qAtX", "-F", "\t", "-v", "ON_ERROR_STOP=1", process.env.DATABASE_URL]
  const psql = spawn("psql", arguments_, { stdio: ["pipe", "pipe", "pipe"] })
  const ended = new Promise((resolve, reject) => {
    let [rest, errors] = ["", ""]
    psql.stdout.setEncoding("utf8")
    psql.stdout.on("data", (chunk) => {
      const lines = (rest + chunk).split("\n")
      rest = lines.pop()
      for (const line of lines) row?.(line.split("\t"))
    })
    psql.stderr.on("data", (chunk) => (errors += chunk))
    psql.on("error", reject)
    psql.on("close", (code) => (code === 0 ? resolve() : reject(new Error(`psql failed: ${errors}`))))
  })
  psql.stdin.on("error", () => {})
  psql.stdin.end(script)
  return within(LIMIT_MS, "the end of psql", ended).finally(() => psql.kill())
}

/** Returns the first column of the first row. */
export async function value(script) {
  let first
  await sql(script, ([column]) => (first ??= column))
  return first
}

/** Returns true if no step of a code is due or will become due by the passing of time. */
export const isIdle = async () => (await value("select not exists (select from access_code where wake_at is not null)")) === "t"
