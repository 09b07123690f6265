// Latchkey for node:test: one server for a file, a world of its own for each test.
//
// LATCHKEY_URL names a server that runs already. Without it one is started, from LATCHKEY_BIN, else `latchkey` on the
// PATH, else the debug build of the repository this file is in.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { SeamHttp } from '@seamapi/http'

// What every world's clock says at the beginning: a Monday, at noon.
export const START = '2026-03-02T12:00:00Z'

// The key of the sandbox that every server has.
const SANDBOX_KEY = 'seam_testsand_LatchkeySandbox'

/** Finds a server, or starts one: `{ url, stop() }`. */
export async function startLatchkey() {
  const { LATCHKEY_URL, LATCHKEY_BIN } = process.env
  const latchkey = LATCHKEY_URL ? { url: LATCHKEY_URL, stop() {} } : await start(LATCHKEY_BIN)
  // Whether it answers is said here, once, and the first test does not pay for the first request.
  await SeamHttp.fromApiKey(SANDBOX_KEY, { endpoint: latchkey.url }).workspaces.get()
  return latchkey
}

async function start(chosen) {
  const isOnPath = spawnSync('latchkey', ['--version']).status === 0
  const built = fileURLToPath(new URL('../../target/debug/latchkey', import.meta.url))
  const program = chosen || (isOnPath ? 'latchkey' : built)
  const server = spawn(program, ['--ephemeral', '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(server, 'spawn')
  for await (const line of createInterface({ input: server.stdout })) {
    if (!line.startsWith('ready on ')) continue
    const url = line.split(' ')[2]
    const stop = async () => {
      server.kill()
      await once(server, 'exit')
    }
    return { url, stop }
  }
  throw new Error(`${program} stopped before it was ready; it says above why`)
}

/** Makes a world for the test `t`, which is deleted when the test is over. */
export async function makeWorld(t, url, wishes = {}) {
  const sandbox = SeamHttp.fromApiKey(SANDBOX_KEY, { endpoint: url })
  const setting = { clock: { held_at: START }, locks: 2, ttl: 'PT10M', ...wishes }
  const { data } = await sandbox.client.post('/_emulator/workspaces/create', setting)
  const world = new World(url, data)
  t.after(() => world.emulator('workspaces/delete'))
  return world
}

/** A workspace for one test: its locks, its codes, and a clock that stands still until it is told to move. */
class World {
  constructor(url, { api_key, devices }) {
    this.seam = SeamHttp.fromApiKey(api_key, { endpoint: url })
    this.locks = devices.map((device) => device.device_id)
  }

  /** Asks the control plane. The SDK's own client carries the key, and turns a refusal into an exception. */
  async emulator(path, body = {}) {
    const { data } = await this.seam.client.post(`/_emulator/${path}`, body)
    return data
  }

  /** Moves the clock: `{ by: 'PT1H' }`, `{ to: instant }` or `{ until: 'quiet' }`. All that falls due has happened then. */
  async advance(how) {
    return await this.emulator('clock/advance', how)
  }

  /** What the lock truly holds. */
  async memory(device_id) {
    return (await this.emulator('locks/memory', { device_id })).codes
  }

  async offline(device_id) {
    await this.emulator('devices/update', { device_id, online: false })
  }

  async online(device_id) {
    await this.emulator('devices/update', { device_id, online: true })
  }

  /** The types of a code's events, in the order in which they occurred. */
  async events({ access_code_id }) {
    const events = await this.seam.events.list({ access_code_id, since: '2026-01-01T00:00:00Z' })
    return events.map((event) => event.event_type.replace('access_code.', ''))
  }
}
