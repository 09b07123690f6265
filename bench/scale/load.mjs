// Clients that create and delete access codes at all servers in turn while these are killed, as a careful client does it.
// A request whose connection broke may have been executed. `create` with a PIN of the caller is then sent again: a 409 names
// the code that has the PIN. `create` and `create_multiple` with a PIN of the server cannot be repeated safely: their
// outcome stays unknown. A deletion is repeated until there is a response.
// This is a worker, so that its work does not delay the measurements of the main thread.
import { parentPort, workerData } from "node:worker_threads"
import { Broken, Connection } from "./connection.mjs"
import { sleep } from "./waits.mjs"

const { ports, api_key, locks, clients } = workerData

/** Locks of one `create_multiple`. */
const SHARED = 3

/** What the servers have confirmed, and what is unknown. */
const results = {
  /** Creations with a 200: the name, the locks, the ids of the codes. */
  answered: [],
  /** Creations without a response: the name and the locks. */
  unknown: [],
  /** Names of creations with a 409. */
  refused: [],
  /** Ids of the codes whose deletion was confirmed. */
  deleted: [],
  /** Responses by status, connections that broke, and connections that a stopped server refused. */
  statuses: {},
  broken: 0,
  not_sent: 0,
  /** Longest time from the first attempt of a request to its response, in milliseconds. */
  longest_ms: 0,
}

let number = 0
let stopping = false
parentPort.on("message", () => (stopping = true))

class Client {
  #connections = ports.map((port) => new Connection(port))
  #turn

  constructor(place) {
    this.#turn = place
    this.own = []
  }

  /** Sends a request to the next server, until one gives a response or the outcome is unknown (undefined). */
  async #post(path, body) {
    for (;;) {
      const connection = this.#connections[this.#turn++ % this.#connections.length]
      try {
        const response = await connection.post(path, body, api_key)
        results.statuses[response.status] = (results.statuses[response.status] ?? 0) + 1
        // 503: nothing was changed. 500: the outcome of the commit is unknown.
        if (response.status === 500) return undefined
        if (response.status !== 503) return response
        await sleep(20)
      } catch (error) {
        if (!(error instanceof Broken)) throw error
        if (error.isSent) {
          results.broken++
          return undefined
        }
        results.not_sent++
        await sleep(5)
      }
    }
  }

  /** Sends a request that can be repeated, until there is a response. */
  async #repeat(path, body) {
    for (;;) {
      const response = await this.#post(path, body)
      if (response) return response
    }
  }

  async #create_multiple(name) {
    const first = number % locks.length
    const device_ids = Array.from({ length: SHARED }, (_, place) => locks[(first + place * 7) % locks.length])
    const response = await this.#post("/access_codes/create_multiple", { device_ids, name })
    this.#note({ name, device_ids }, response, () => response.body.access_codes)
  }

  async #create(name, device_id) {
    const response = await this.#post("/access_codes/create", { device_id, name })
    this.#note({ name, device_ids: [device_id] }, response, () => [response.body.access_code])
  }

  async #create_with_pin(name, device_id, code) {
    const response = await this.#repeat("/access_codes/create", { device_id, name, code })
    if (response.status !== 409) return this.#note({ name, device_ids: [device_id] }, response, () => [response.body.access_code])
    // An earlier attempt may have created the code that has the PIN now.
    const { access_code_id } = response.body.error.data
    const { body } = await this.#repeat("/access_codes/get", { access_code_id })
    if (body.access_code?.name !== name) return results.refused.push(name)
    results.answered.push({ name, device_ids: [device_id], ids: [access_code_id] })
    this.own.push(access_code_id)
  }

  #note(request, response, codes) {
    if (!response) return results.unknown.push(request)
    if (response.status !== 200) throw new Error(`a creation got ${response.status}: ${JSON.stringify(response.body)}`)
    const ids = codes().map(({ access_code_id }) => access_code_id)
    results.answered.push({ ...request, ids })
    this.own.push(...ids)
  }

  async #delete(access_code_id) {
    const { status, body } = await this.#repeat("/access_codes/delete", { access_code_id })
    if (status !== 200 && status !== 404) throw new Error(`a deletion got ${status}: ${JSON.stringify(body)}`)
    results.deleted.push(access_code_id)
  }

  async run() {
    while (!stopping) {
      const own = number++
      const name = `guest ${own}`
      const begun = performance.now()
      // Two consecutive requests want the same PIN on the same lock, usually at the same time at different servers.
      const pair = own >> 2
      if (own % 4 === 0) await this.#create_multiple(name)
      else if (own % 4 === 1) await this.#create(name, locks[own % locks.length])
      else await this.#create_with_pin(name, locks[pair % locks.length], String(10_000 + (pair % 90_000)))
      results.longest_ms = Math.max(results.longest_ms, performance.now() - begun)
      // An older code. Most of these are on their locks already, and some are not.
      if (own % 4 === 3 && this.own.length) await this.#delete(this.own.splice(Math.floor(this.own.length / 2), 1)[0])
    }
    for (const connection of this.#connections) connection.close()
  }
}

await Promise.all(Array.from({ length: clients }, (_, place) => new Client(place).run()))
parentPort.postMessage(results)
parentPort.close()
