// Deliveries per second to a fast receiver, and the rates of get and create with a webhook and without one. Each round
// measures both, one after the other, so that both have the same disturbances. Environment:
//   BASE_URL       the server
//   EVENTS         number of events to deliver at once (20000)
//   SECONDS_EACH   duration of each measurement of a rate (5)
//   CONNECTIONS    number of clients (16)
//   ROUNDS         number of rounds (3); the medians are printed
import net from "node:net"
import { Worker, isMainThread, parentPort } from "node:worker_threads"
import { client } from "./client.mjs"

if (!isMainThread) {
  // The receiver has its own thread, and does no more than a count, so that it takes little of the cores. The next request
  // of a connection comes after the response to the previous one.
  let received = 0
  const receiver = net.createServer((socket) => {
    let [text, length] = ["", undefined]
    socket.setNoDelay(true)
    socket.on("error", () => {})
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1")
      const head = text.indexOf("\r\n\r\n")
      if (head < 0) return
      length ??= head + 4 + Number(/content-length: *(\d+)/i.exec(text)[1])
      if (text.length < length) return
      received++
      ;[text, length] = ["", undefined]
      socket.write("HTTP/1.1 204 No Content\r\n\r\n")
    })
  })
  receiver.listen(0, "127.0.0.1", () => parentPort.postMessage({ port: receiver.address().port }))
  parentPort.on("message", () => parentPort.postMessage({ received }))
} else {
  const env = process.env
  const events = Number(env.EVENTS ?? 20_000)
  const seconds = Number(env.SECONDS_EACH ?? 5)
  const connections = Number(env.CONNECTIONS ?? 16)
  const rounds = Number(env.ROUNDS ?? 3)
  const { post } = client(connections)
  const receiver = new Worker(new URL(import.meta.url))
  const answer = () => new Promise((resolve) => receiver.once("message", resolve))
  const { port } = await answer()
  const received = () => {
    const answered = answer()
    receiver.postMessage("count")
    return answered.then(({ received }) => received)
  }

  const lock = { device_type: "august_lock", max_active_codes_supported: null, supported_code_lengths: [8] }
  const new_workspace = async (with_webhook, locks, clock) => {
    const params = { locks: Array.from({ length: locks }, () => lock), ...(clock ? { clock } : {}) }
    const { api_key, devices } = await post("/_emulator/workspaces/create", params)
    if (with_webhook) await post("/webhooks/create", { url: `http://127.0.0.1:${port}/` }, api_key)
    return { api_key, devices: devices.map(({ device_id }) => device_id) }
  }

  /** Returns the deliveries per second of many events that one advance of the clock records. */
  const delivery_rate = async () => {
    const clock = { held_at: "2026-01-01T00:00:00Z" }
    const { api_key, devices } = await new_workspace(false, 100, clock)
    for (let pin = 0; pin < Math.ceil(events / devices.length); pin++) {
      const code = String(10_000_000 + pin)
      await post("/access_codes/create_multiple", { device_ids: devices, code }, api_key)
    }
    await post("/webhooks/create", { url: `http://127.0.0.1:${port}/` }, api_key)
    const before = await received()
    const begun = performance.now()
    const { events: recorded } = await post("/_emulator/clock/advance", { by: "PT1M", wait_for_webhooks: true }, api_key)
    const took = (performance.now() - begun) / 1000
    const sent = (await received()) - before
    if (sent !== recorded) throw new Error(`${sent} of ${recorded} events were received`)
    await post("/_emulator/workspaces/delete", {}, api_key)
    return Math.round(sent / took)
  }

  /** Returns the requests per second of both scenarios in a new workspace. */
  const request_rates = async (with_webhook) => {
    const { api_key, devices } = await new_workspace(with_webhook, 64)
    const { access_code } = await post("/access_codes/create", { device_id: devices[0], code: "99999999" }, api_key)
    let pin = 10_000_000
    const requests = {
      get: () => post("/access_codes/get", { access_code_id: access_code.access_code_id }, api_key),
      create: () => {
        pin++
        return post("/access_codes/create", { device_id: devices[pin % devices.length], code: String(pin) }, api_key)
      },
    }
    const rates = {}
    for (const [name, request] of Object.entries(requests)) {
      let done = 0
      // While codes are read, one is created every 20 requests, so that there are deliveries.
      const end = performance.now() + seconds * 1000
      const client = async () => {
        while (performance.now() < end) {
          done++
          await (name === "get" && done % 20 === 0 ? requests.create() : request())
        }
      }
      await Promise.all(Array.from({ length: connections }, () => client()))
      rates[name] = Math.round(done / seconds)
    }
    await post("/_emulator/workspaces/delete", {}, api_key)
    return rates
  }

  const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]
  const measured = { deliveries: [], get: [[], []], create: [[], []] }
  for (let round = 0; round < rounds; round++) {
    measured.deliveries.push(await delivery_rate())
    for (const with_webhook of [0, 1]) {
      const rates = await request_rates(Boolean(with_webhook))
      for (const name of ["get", "create"]) measured[name][with_webhook].push(rates[name])
    }
  }
  console.log(`deliveries: ${median(measured.deliveries)}/s`)
  for (const name of ["get", "create"]) {
    const [without, with_webhook] = measured[name].map(median)
    const share = Math.round((with_webhook / without) * 100)
    console.log(`${name}: ${without}/s without a webhook, ${with_webhook}/s with one (${share} %)`)
  }
  await receiver.terminate()
  process.exit(0)
}
