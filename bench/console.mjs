// The console in Chromium beside many workspaces, access codes and requests: how long its views take, and how much it
// slows down the API. Prints tables. Environment: see console.sh, and BASE_URL, the server.
import { execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { chromium } from "playwright-core"
import { client } from "./client.mjs"

const env = process.env
const workspaces = Number(env.WORKSPACES ?? 500)
const codes = Number(env.CODES ?? 10_000)
const rate = Number(env.RATE ?? 200)
const rounds = Number(env.ROUNDS ?? 5)
const seconds = Number(env.SECONDS_EACH ?? 8)
const LOCKS = 100
const VIEWS = ["locks", "timeline", "timeline?length=year", "activity"]
const { send, post } = client(64)

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const sorted = (values) => [...values].sort((one, other) => one - other)
const quantile = (values, part) => sorted(values)[Math.min(values.length - 1, Math.floor(values.length * part))]
const median = (values) => quantile(values, 0.5)

/** Creates the workspaces. The first one has the access codes. Returns its key, its id and the ids of its codes. */
async function prepare() {
  const busy = await post("/_emulator/workspaces/create", { name: "Busy", locks: LOCKS })
  const device_ids = busy.devices.map((device) => device.device_id)
  const ids = []
  const day = 86_400_000
  for (let n = 0; n < codes / LOCKS; n += 1) {
    // Stays of two days, one after the other, and all of them begin in the next weeks.
    const start = Date.now() + n * 2 * day + 3_600_000
    const [starts_at, ends_at] = [start, start + 1.9 * day].map((at) => new Date(at).toISOString())
    const { access_codes } = await post("/access_codes/create_multiple", { device_ids, name: `Guest ${n}`, starts_at, ends_at }, busy.api_key)
    ids.push(...access_codes.map((code) => code.access_code_id))
  }
  for (let n = 1; n < workspaces; n += 1) await post("/_emulator/workspaces/create", { name: `Test ${n}`, locks: 1 })
  return { api_key: busy.api_key, id: busy.workspace.workspace_id, device_ids, ids }
}

/** Sends requests at the rate for some seconds: nine of ten read, one changes a name. Returns their durations in ms. */
async function load({ api_key, ids }, duration) {
  const durations = []
  const running = []
  const begun = performance.now()
  for (let n = 0; n < rate * duration; n += 1) {
    const due = begun + (n * 1000) / rate
    if (due > performance.now()) await sleep(due - performance.now())
    const access_code_id = ids[(n * 7919) % ids.length]
    const [path, body] = n % 10 === 0 ? ["/access_codes/update", { access_code_id, name: `Guest ${n}` }] : ["/access_codes/get", { access_code_id }]
    // From the instant at which it is due, so that a delay of this process counts too.
    running.push(send(path, body, api_key).then(({ status }) => {
      if (status !== 200) throw new Error(`${path} answered ${status}`)
      durations.push(performance.now() - due)
    }))
  }
  await Promise.all(running)
  return { durations, achieved: durations.length / ((performance.now() - begun) / 1000) }
}

async function open(page, id, view) {
  const hash = id ? `#/w/${id}/${view}` : "#/"
  const begun = performance.now()
  await page.evaluate((target) => { location.hash = target }, hash)
  await page.waitForFunction((expected) => document.body.dataset.ready === expected, hash)
  return performance.now() - begun
}

/** Longest and total blocking of the page since the last call, in ms. */
const blocking = (page) => page.evaluate(() => {
  const tasks = window.longTasks.splice(0)
  return { longest: Math.max(0, ...tasks), total: tasks.reduce((sum, one) => sum + one, 0) }
})

/** Requests per second of wrk, for a scenario at a number of connections. */
function wrk(workspace, scenario, connections) {
  const script = join(tmpdir(), `console-${process.pid}.lua`)
  const ids = scenario === "get" ? workspace.ids.slice(0, 2000) : workspace.device_ids
  const body = scenario === "get" ? `'{"access_code_id":"' .. id .. '"}'` : `'{"device_id":"' .. id .. '"}'`
  writeFileSync(script, `local ids = {${ids.map((id) => `"${id}"`).join(",")}}
local n = 0
local headers = { ["content-type"] = "application/json", authorization = "Bearer ${workspace.api_key}" }
request = function() n = n + 1; local id = ids[n % #ids + 1]; return wrk.format("POST", "/access_codes/${scenario}", headers, ${body}) end
`)
  const text = execFileSync("wrk", ["-t1", `-c${connections}`, "-d4s", "-s", script, env.BASE_URL], { encoding: "utf8" })
  if (/Non-2xx/.test(text)) throw new Error(text)
  return Number(text.match(/Requests\/sec:\s+([\d.]+)/)[1])
}

const busy = await prepare()
const browser = await chromium.launch({ executablePath: env.CHROMIUM, args: ["--no-sandbox"] })
try {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage()
  await page.addInitScript(() => {
    window.longTasks = []
    new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((one) => one.duration))).observe({ type: "longtask" })
  })
  await page.goto(`${env.BASE_URL}/_emulator/console`)
  await page.getByRole("heading", { name: "Workspaces" }).waitFor()

  console.log(`${workspaces} workspaces, ${codes} access codes, ${rate} requests/s\n\n| view | opened in, ms | longest blocking, ms | blocked, % |\n| --- | --- | --- | --- |`)
  for (const view of ["workspaces", ...VIEWS]) {
    const opened = []
    const results = []
    for (let round = 0; round < rounds; round += 1) {
      const [, took] = await Promise.all([load(busy, 4), (async () => {
        await open(page, busy.id, "webhooks")
        await blocking(page)
        return open(page, view === "workspaces" ? undefined : busy.id, view)
      })()])
      opened.push(took)
      results.push(await blocking(page))
    }
    console.log(`| ${view} | ${Math.round(median(opened))} | ${Math.round(Math.max(...results.map((one) => one.longest)))} | ${(median(results.map((one) => one.total)) / 40).toFixed(1)} |`)
  }

  console.log("\n| console | requests/s | p50, ms | p99, ms |\n| --- | --- | --- | --- |")
  const states = ["closed", ...VIEWS]
  const found = new Map(states.map((state) => [state, { achieved: [], p50: [], p99: [] }]))
  for (let round = 0; round < rounds; round += 1) {
    for (const state of states) {
      if (state === "closed") await page.goto("about:blank")
      else {
        await page.goto(`${env.BASE_URL}/_emulator/console#/w/${busy.id}/${state}`)
        await page.locator("h1").waitFor()
      }
      await sleep(500)
      const { durations, achieved } = await load(busy, seconds)
      const one = found.get(state)
      one.achieved.push(achieved)
      one.p50.push(quantile(durations, 0.5))
      one.p99.push(quantile(durations, 0.99))
    }
  }
  for (const [state, { achieved, p50, p99 }] of found) console.log(`| ${state} | ${median(achieved).toFixed(1)} | ${median(p50).toFixed(2)} | ${median(p99).toFixed(1)} |`)

  console.log("\n| wrk, as fast as possible | closed, requests/s | open (activity), requests/s | ratio |\n| --- | --- | --- | --- |")
  for (const [scenario, connections] of [["get", 1], ["get", 16], ["create", 1], ["create", 16]]) {
    const rates = { closed: [], open: [] }
    for (let round = 0; round < rounds; round += 1) {
      for (const state of ["closed", "open"]) {
        await page.goto(state === "closed" ? "about:blank" : `${env.BASE_URL}/_emulator/console#/w/${busy.id}/activity`)
        if (state === "open") await page.locator("h1").waitFor()
        await sleep(500)
        rates[state].push(wrk(busy, scenario, connections))
      }
    }
    const ratio = median(rates.open.map((value, round) => value / rates.closed[round]))
    console.log(`| ${scenario}, ${connections} | ${Math.round(median(rates.closed))} | ${Math.round(median(rates.open))} | ${ratio.toFixed(2)} |`)
  }
} finally {
  await browser.close()
}
