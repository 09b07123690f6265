// The clients of one measurement of a rate: each sends one request after the other. Posts the requests per second.
import { parentPort, workerData } from "node:worker_threads"
import { Connection, encode } from "./connection.mjs"

const { ports, api_key, locks, ids, count, kind, seconds } = workerData
const WARM_UP_MS = 500

let number = 0
const requests = {
  get: () => encode("/access_codes/get", { access_code_id: ids[number++ % ids.length] }, api_key),
  create: () => {
    const params = { device_id: locks[number % locks.length], code: String(20_000_000 + number++) }
    return encode("/access_codes/create", params, api_key)
  },
}

const begin = performance.now() + WARM_UP_MS
const end = begin + seconds * 1000
let done = 0
const run = async (place) => {
  const connection = new Connection(ports[place % ports.length])
  for (;;) {
    const { status, text } = await connection.send(requests[kind]())
    if (status !== 200) throw new Error(`a ${kind} got ${status}: ${text}`)
    const now = performance.now()
    if (now > end) break
    if (now > begin) done++
  }
  connection.close()
}
await Promise.all(Array.from({ length: count }, (_, place) => run(place)))
parentPort.postMessage(Math.round(done / seconds))
