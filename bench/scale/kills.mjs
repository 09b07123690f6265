// Three servers that are killed in turn, while transitions fall due and clients create codes; then the checks. Environment:
//   TRANSITIONS     number of transitions that fall due (100000)
//   SECONDS         seconds in which they fall due, and in which the clients send requests (40)
//   KILL_EVERY_MS   time between two kills (2000)
//   CLIENTS         number of clients (16)
//   MOST_START_MS   maximum time until a restarted server answers (1000); above it the script fails
//   DAMAGE          0: do not prove that the checks can fail (1)
import { Worker } from "node:worker_threads"
import { client } from "../client.mjs"
import { check, NAMES, read } from "./checks.mjs"
import { damages } from "./damage.mjs"
import { isIdle, value } from "./database.mjs"
import { prepare } from "./prepared.mjs"
import { Server } from "./servers.mjs"
import { median, sleep, until, within } from "./waits.mjs"

const env = process.env
const transitions = Number(env.TRANSITIONS ?? 100_000)
const seconds = Number(env.SECONDS ?? 40)
const kill_every_ms = Number(env.KILL_EVERY_MS ?? 2_000)
const clients = Number(env.CLIENTS ?? 16)
const most_start_ms = Number(env.MOST_START_MS ?? 1_000)
const LOCKS = 60
const DRAIN_LIMIT_MS = 300_000
const SHOWN = 5

/** Kills one server after the other, and starts it again at once, until `isOver` returns true. Returns the start times. */
async function kill_in_turn(servers, isOver) {
  const starts = []
  let next = performance.now() + kill_every_ms
  for (let turn = 0; ; turn++) {
    while (performance.now() < next && !isOver()) await sleep(Math.min(50, Math.max(0, next - performance.now())))
    if (isOver()) return starts
    next = performance.now() + kill_every_ms
    const server = servers[turn % servers.length]
    await server.kill()
    starts.push(await server.start())
  }
}

/** Sends requests with several clients. Returns a function that stops them and returns their results. */
function start_load(servers, api_key, locks) {
  const workerData = { ports: servers.map(({ port }) => port), api_key, locks, clients }
  const worker = new Worker(new URL("./load.mjs", import.meta.url), { workerData })
  const results = new Promise((resolve, reject) => {
    worker.once("message", resolve)
    worker.once("error", reject)
  })
  results.catch(() => {})
  return () => {
    worker.postMessage("stop")
    return within(60_000, "the end of the clients", results)
  }
}

/** Returns the codes of all locks, each lock asked at the next server. */
async function list_codes(servers, api_key, locks) {
  const posts = servers.map(({ url }) => client(1, url).post)
  const listed = []
  for (const [place, device_id] of locks.entries()) {
    const { access_codes } = await posts[place % posts.length]("/access_codes/list", { device_id }, api_key)
    listed.push(...access_codes)
  }
  return listed
}

function report(problems) {
  for (const [name, texts] of Object.entries(problems)) {
    console.error(`FAILED: ${name}: ${texts.length} problems`)
    for (const text of texts.slice(0, SHOWN)) console.error(`  ${text}`)
  }
}

/** Prints what was done. */
function print({ prepared, load, found, starts, loaded, drained, events }) {
  const { native, just_in_time } = prepared.counts
  const statuses = Object.entries(load.statuses).map(([status, count]) => `${count} × ${status}`).join(", ")
  const codes = load.answered.reduce((sum, { ids }) => sum + ids.length, 0)
  const names = new Set([...found.codes.values()].map(({ name }) => name))
  const executed = load.unknown.filter(({ name }) => names.has(name)).length
  const rows = [
    ["transitions", `${transitions}, of ${native + just_in_time} codes (${native} native, ${just_in_time} just in time)`],
    ["responses meanwhile", `${statuses}, in ${loaded.toFixed(1)} s`],
    ["creations with a 200", `${load.answered.length}, ${codes} codes, of which ${load.deleted.length} were deleted`],
    ["requests without a response", `${load.broken}; ${load.unknown.length} of them creations of unknown outcome (${executed} executed)`],
    ["longest wait of a client", `${Math.round(load.longest_ms)} ms`],
    ["no step was due any more", `after ${drained.toFixed(1)} s`],
    ["events", `${events}, of which ${found.events.length} belong to access codes`],
    ["kills", starts.length],
    ["start until the first answer", `median ${Math.round(median(starts))} ms, maximum ${Math.round(Math.max(...starts))} ms`],
  ]
  console.log("| kills | |\n| --- | --- |")
  for (const row of rows) console.log(`| ${row.join(" | ")} |`)
}

/** Damages the database in each way, without a commit, and returns what was not found. */
async function prove(workspaces, expected) {
  const missed = []
  const [tried, proven] = [new Set(), new Set()]
  const all = damages({ prepared_ids: workspaces.slice(0, -1), load_id: workspaces.at(-1), load: expected.load })
  for (const [what, name, statement] of all) {
    tried.add(name)
    if (check(await read(workspaces, statement), expected)[name]) proven.add(name)
    else missed.push(`${what}: not found by "${name}"`)
  }
  const counts = `${all.length - missed.length} of ${all.length} kinds found, by ${proven.size} of ${NAMES.length} checks`
  console.log(`damage to the database: ${counts}`)
  for (const name of NAMES) if (!tried.has(name)) console.log(`not tried: "${name}", because nothing of this kind happened`)
  return missed
}

/** Runs this part. Returns true if everything was right. */
export async function run_kills() {
  const servers = [0, 1, 2].map((place) => new Server(place))
  for (const server of servers) await server.start()
  const { post } = client(4, servers[0].url)
  console.error(`preparing codes with ${transitions} transitions`)
  const prepared = await prepare(post, transitions, seconds)
  const spec = { device_type: "august_lock", supported_code_lengths: [5], max_active_codes_supported: null }
  const created = await post("/_emulator/workspaces/create", { locks: Array(LOCKS).fill(spec) })
  const locks = created.devices.map(({ device_id }) => device_id)
  const workspaces = [...prepared.workspace_ids, created.workspace.workspace_id]

  console.error(`killing a server every ${kill_every_ms / 1000} s`)
  let isOver = false
  const begun = performance.now()
  await prepared.run()
  const stop = start_load(servers, created.api_key, locks)
  const killing = kill_in_turn(servers, () => isOver)
  killing.catch(() => {})
  await Promise.race([sleep(seconds * 1000), killing])
  const load = await stop()
  const loaded = (performance.now() - begun) / 1000
  await Promise.race([until(DRAIN_LIMIT_MS, "no step is due", isIdle), killing])
  const drained = (performance.now() - begun) / 1000
  isOver = true
  const starts = await killing

  console.error("checking")
  const listed = await list_codes(servers, created.api_key, locks)
  const expected = { stories: prepared.stories, load, listed }
  const found = await read(workspaces)
  const problems = check(found, expected)
  const errors = servers.flatMap((server) => server.errors())
  if (errors.length) problems["no server logs an error or ends by itself"] = errors
  const late = starts.filter((ms) => ms > most_start_ms)
  if (late.length) problems[`a restarted server answers within ${most_start_ms} ms`] = late.map((ms) => `${Math.round(ms)} ms`)
  if (!starts.length) problems["servers were killed"] = ["not one"]
  report(problems)

  const events = await value(`select count(*) from event where workspace_id = any('{${workspaces}}')`)
  print({ prepared, load, found, starts, loaded, drained, events })
  const isRight = !Object.keys(problems).length
  console.log(isRight ? `all ${NAMES.length} checks passed` : "checks FAILED")

  const missed = env.DAMAGE === "0" || !isRight ? [] : await prove(workspaces, expected)
  for (const text of missed) console.error(`FAILED: ${text}`)
  for (const server of servers) await server.kill()
  return isRight && !missed.length
}
