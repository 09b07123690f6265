// Stores codes on a running server over HTTP, and writes the state file for load.lua. Environment:
//   BASE_URL    the server
//   STORED      number of codes to store, in addition to the ten of the list device
//   STATE       the file to write
//   PIN_BASE    first PIN to use
//   API_KEY     the workspace of this key. Default: a new workspace, created through the control plane
//   DEVICE_IDS  with API_KEY: the locks to use, comma separated. Default: those of /devices/list
//   LOCKS       number of locks of a new workspace
//   PRELOAD     create_multiple (one request for all locks), or create (for servers whose locks cannot share a PIN)
//   SETTLE_S    maximum seconds to wait until the codes are set. 0 for servers that never set them
import http from "node:http"
import { LIST_CODES, MAX_IDS, writeState } from "./state.mjs"

const env = process.env
const stored = Number(env.STORED ?? 0)
const connections = 16
const agent = new http.Agent({ keepAlive: true, maxSockets: connections })
let pin = Number(env.PIN_BASE ?? 10_000_000)
let apiKey = env.API_KEY
if (stored > 500_000) throw new Error("STORED may be 500000 at most: a run has a million PINs")

function send(path, body) {
  const data = JSON.stringify(body)
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(data) }
  if (apiKey) headers.authorization = `Bearer ${apiKey}`
  return new Promise((resolve, reject) => {
    const request = http.request(new URL(path, env.BASE_URL), { method: "POST", agent, headers }, (response) => {
      const chunks = []
      response.on("data", (chunk) => chunks.push(chunk))
      response.on("end", () => resolve({ status: response.statusCode, text: Buffer.concat(chunks).toString() }))
    })
    request.on("error", reject)
    request.end(data)
  })
}

async function post(path, body) {
  const { status, text } = await send(path, body)
  if (status !== 200) throw new Error(`${path} answered ${status}: ${text.slice(0, 300)}`)
  return JSON.parse(text)
}

async function newWorkspace() {
  const lock = { device_type: "august_lock", max_active_codes_supported: null, supported_code_lengths: [4, 5, 6, 7, 8] }
  const locks = Array.from({ length: Number(env.LOCKS ?? 65) }, () => lock)
  const workspace = await post("/_emulator/workspaces/create", { locks })
  apiKey = workspace.api_key
  return workspace.devices.map((device) => device.device_id)
}

async function findLocks() {
  if (env.DEVICE_IDS) return env.DEVICE_IDS.split(",")
  const { devices } = await post("/devices/list", {})
  return devices.filter((device) => device.can_program_online_access_codes).map((device) => device.device_id)
}

/** Fills the first lock with at most ten codes up to exactly ten. Returns the lock and its codes. */
async function fillListDevice(devices) {
  for (const device_id of devices) {
    // Filtered here too, because Seam's fake returns the codes of all locks.
    const { access_codes } = await post("/access_codes/list", { device_id })
    const codes = access_codes.filter((code) => code.device_id === device_id)
    if (codes.length > LIST_CODES) continue
    while (codes.length < LIST_CODES) {
      codes.push((await post("/access_codes/create", { device_id, name: `list ${pin}`, code: `${pin++}` })).access_code)
    }
    return { list_device: device_id, codes }
  }
  throw new Error(`no lock has ${LIST_CODES} codes or fewer: use a fresh workspace`)
}

/** Stores `count` codes. Returns some of their ids, evenly distributed. */
async function preload(devices, count) {
  const ids = []
  const keepEvery = Math.max(1, Math.ceil(count / MAX_IDS))
  const shared = (env.PRELOAD ?? "create_multiple") === "create_multiple"
  let started = 0
  const worker = async () => {
    while (started < count) {
      const first = started
      const body = { name: `stored ${pin}`, code: `${pin++}` }
      let codes
      if (shared) {
        body.device_ids = devices.slice(0, count - first)
        started += body.device_ids.length
        codes = (await post("/access_codes/create_multiple", body)).access_codes
      } else {
        body.device_id = devices[started++ % devices.length]
        codes = [(await post("/access_codes/create", body)).access_code]
      }
      codes.forEach((code, i) => (first + i) % keepEvery === 0 && ids.push(code.access_code_id))
    }
  }
  await Promise.all(Array.from({ length: connections }, worker))
  return ids
}

/** Waits until a sample of the codes is no longer `setting`, so that the preload does not slow the cell down. */
async function settle(ids) {
  const deadline = performance.now() + Number(env.SETTLE_S ?? 120) * 1000
  const every = Math.ceil(ids.length / 50)
  for (const access_code_id of ids.filter((_, i) => i % every === 0 || i === ids.length - 1)) {
    while ((await post("/access_codes/get", { access_code_id })).access_code.status === "setting") {
      if (performance.now() > deadline) return false
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  return true
}

const locks = apiKey ? await findLocks() : await newWorkspace()
if (locks.length < 3) throw new Error(`found ${locks.length} locks, needs three or more`)
const { list_device, codes } = await fillListDevice(locks)
const devices = locks.filter((device_id) => device_id !== list_device)
const begun = performance.now()
const ids = [...codes.map((code) => code.access_code_id), ...(await preload(devices, stored))]
const seconds = ((performance.now() - begun) / 1000).toFixed(1)
const settled = await settle(ids)
agent.destroy()
writeState(env.STATE, { api_key: apiKey, list_device, devices, ids })
console.error(`  ${stored} codes stored on ${devices.length} locks in ${seconds} s${settled ? "" : ", some still being set"}`)
