// Latchkey for node:test: one server for a file, a new workspace for each test.
//
// Set LATCHKEY_URL to use a running server. Otherwise startLatchkey starts one: the program in LATCHKEY_BIN, else `latchkey`
// on the PATH, else the debug build of this repository.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { SeamHttp } from '@seamapi/http'

// First time on the clock of each workspace: a Monday at noon.
export const START = '2026-03-02T12:00:00Z'

// API key of the default sandbox.
const SANDBOX_KEY = 'seam_testsand_LatchkeySandbox'

const NOT_FOUND =
  'No Latchkey found: set LATCHKEY_URL to a running server, set LATCHKEY_BIN to the program, or put `latchkey` on the PATH'

/** Returns a server, started if necessary: `{ url, stop() }`. */
export async function startLatchkey() {
  const { LATCHKEY_URL, LATCHKEY_BIN } = process.env
  const latchkey = LATCHKEY_URL ? { url: LATCHKEY_URL, stop() {} } : await start(LATCHKEY_BIN)
  // A first request, so that an unreachable server fails here and not in a test.
  const sandbox = SeamHttp.fromApiKey(SANDBOX_KEY, { endpoint: latchkey.url })
  await sandbox.workspaces.get().catch((error) => fail(`No Latchkey responds at ${latchkey.url}: ${error.message}`))
  return latchkey
}

/** Stops the run with one line instead of a stack trace. */
function fail(message) {
  console.error(message)
  process.exit(1)
}

async function start(chosen) {
  const isOnPath = spawnSync('latchkey', ['--version']).status === 0
  const built = fileURLToPath(new URL('../../target/debug/latchkey', import.meta.url))
  const program = chosen || (isOnPath ? 'latchkey' : built)
  const server = spawn(program, ['--ephemeral', '--port', '0', '--quiet'], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(server, 'spawn').catch(() => fail(chosen ? `LATCHKEY_BIN is not a program: ${chosen}` : NOT_FOUND))
  for await (const line of createInterface({ input: server.stdout })) {
    if (!line.startsWith('ready on ')) continue
    const url = line.split(' ')[2]
    const stop = async () => {
      server.kill()
      await once(server, 'exit')
    }
    return { url, stop }
  }
  throw new Error(`${program} stopped before it was ready; its output is above`)
}

/** Creates a workspace for the test `t` and deletes it after the test. */
export async function makeWorkspace(t, url, params = {}) {
  const sandbox = SeamHttp.fromApiKey(SANDBOX_KEY, { endpoint: url })
  const setting = { clock: { held_at: START }, locks: 2, ttl: 'PT10M', ...params }
  const { data } = await sandbox.client.post('/_emulator/workspaces/create', setting)
  const workspace = new Workspace(url, data)
  t.after(() => workspace.emulator('workspaces/delete'))
  return workspace
}

/** A workspace for one test: its locks, its access codes and a held clock. */
class Workspace {
  constructor(url, { api_key, devices }) {
    this.seam = SeamHttp.fromApiKey(api_key, { endpoint: url })
    this.locks = devices.map((device) => device.device_id)
  }

  /** Sends a request to the control plane. The client of the SDK adds the API key and throws on an error. */
  async emulator(path, body = {}) {
    const { data } = await this.seam.client.post(`/_emulator/${path}`, body)
    return data
  }

  /** Moves the clock, `{ by: 'PT1H' }`, `{ to: instant }` or `{ until: 'quiet' }`, and returns when all due steps are done. */
  async advance(how) {
    return await this.emulator('clock/advance', how)
  }

  /** Returns the codes stored in the lock. */
  async memory(device_id) {
    return (await this.emulator('locks/memory', { device_id })).codes
  }

  async offline(device_id) {
    await this.emulator('devices/update', { device_id, online: false })
  }

  async online(device_id) {
    await this.emulator('devices/update', { device_id, online: true })
  }

  /** Returns the event types of an access code, oldest first. */
  async events({ access_code_id }) {
    const events = await this.seam.events.list({ access_code_id, since: '2026-01-01T00:00:00Z' })
    return events.map((event) => event.event_type.replace('access_code.', ''))
  }
}
