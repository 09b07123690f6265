// The client, with a server that it starts.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { CONSUMER, succeed } from './support.mjs'

const require = createRequire(join(CONSUMER, 'index.js'))
const { LatchkeyError, startLatchkey } = require('latchkey-seam')
const { toIsoDuration } = require(join(CONSUMER, 'node_modules/latchkey-seam/dist/duration.js'))
const { isSeamHttpApiError } = await import(require.resolve('@seamapi/http'))

const latchkey = await startLatchkey()
after(() => latchkey.stop())

/** Creates a workspace that is deleted after the test. */
async function workspaceFor(t, parameters) {
  const workspace = await latchkey.createWorkspace(parameters)
  t.after(() => workspace.delete())
  return workspace
}

/** Runs a script as an ES module in the directory of the packages. */
function script(source, options) {
  return [process.execPath, ['--input-type=module', '--eval', source], { cwd: CONSUMER, ...options }]
}

describe('toIsoDuration', () => {
  for (const [text, iso] of [
    ['72h', 'PT259200S'],
    ['1d12h', 'PT129600S'],
    ['1.5h', 'PT5400S'],
    ['1w', 'PT604800S'],
    ['90m', 'PT5400S'],
    ['1m30s', 'PT90S'],
    ['250ms', 'PT0.25S'],
    ['PT72H', 'PT72H'],
    ['P3D', 'P3D'],
  ]) {
    test(`${text} is ${iso}`, () => assert.equal(toIsoDuration(text), iso))
  }
  for (const text of ['', 'h', '72', '72 h', '30s1m', '1y', '-1h', 'three hours']) {
    test(`"${text}" is rejected`, () => assert.throws(() => toIsoDuration(text), /is not a duration: write it as 72h/))
  }
})

describe('Workspace', () => {
  test('new workspace has one lock, a held clock, and keys of its own', async (t) => {
    const workspace = await workspaceFor(t)
    const { workspaces: [listed] } = await workspace.emulator('workspaces/list', {})
    assert.deepEqual([listed.workspace_id, listed.api_key], [workspace.workspaceId, workspace.apiKey])
    assert.deepEqual([listed.clock.mode, listed.clock.now], ['held', '2026-01-01T00:00:00.000Z'])
    assert.ok(Date.parse(listed.expires_at) - Date.now() < 3_600_001, listed.expires_at)
    assert.deepEqual((await workspace.seam.devices.list()).map(({ device_id }) => device_id), [workspace.devices[0].device_id])
    assert.equal(workspace.url, latchkey.url)
  })

  test('advance moves by both forms of a duration, to an instant, and until', async (t) => {
    const workspace = await workspaceFor(t)
    assert.equal((await workspace.advance('72h')).now, '2026-01-04T00:00:00.000Z')
    assert.equal((await workspace.advance('PT24H')).now, '2026-01-05T00:00:00.000Z')
    assert.equal((await workspace.advance({ to: '2026-01-06T00:00:00Z' })).now, '2026-01-06T00:00:00.000Z')
    await workspace.seam.accessCodes.create({ device_id: workspace.devices[0].device_id })
    assert.equal((await workspace.advance({ until: 'next' })).now, '2026-01-06T00:00:00.250Z')
  })

  test('advance waits for webhooks if it is told to', async (t) => {
    const workspace = await workspaceFor(t)
    const received = []
    const receiver = createServer(async (request, response) => {
      const chunks = await request.toArray()
      received.push(JSON.parse(Buffer.concat(chunks)).event_type)
      response.end()
    }).listen(0, '127.0.0.1')
    await once(receiver, 'listening')
    t.after(() => receiver.close())
    await workspace.seam.webhooks.create({ url: `http://127.0.0.1:${receiver.address().port}/` })
    await workspace.seam.accessCodes.create({ device_id: workspace.devices[0].device_id })
    await workspace.advance({ by: '1s', wait_for_webhooks: true })
    assert.deepEqual(received.sort(), ['access_code.created', 'access_code.set_on_device'])
  })

  test('hold and run change the mode of the clock', async (t) => {
    const workspace = await workspaceFor(t)
    const running = await workspace.run({ from: '2026-02-01T00:00:00Z', rate: 10 })
    assert.deepEqual([running.mode, running.rate], ['running', 10])
    const held = await workspace.hold('2026-03-01T00:00:00Z')
    assert.deepEqual([held.mode, held.now], ['held', '2026-03-01T00:00:00.000Z'])
    assert.equal((await workspace.hold()).now, held.now)
    assert.equal(await workspace.now(), held.now)
  })

  test('fault makes the next operation fail; events tell about it, oldest first', async (t) => {
    const workspace = await workspaceFor(t)
    const fault = await workspace.fault({ operation: 'set', outcome: { fail: {} }, times: 1 })
    assert.deepEqual([fault.operation, fault.times], ['set', 1])
    const { access_code_id } = await workspace.seam.accessCodes.create({ device_id: workspace.devices[0].device_id })
    await workspace.advance('1m')
    const types = (events) => events.map(({ event_type }) => event_type.replace('access_code.', ''))
    assert.deepEqual(types(await workspace.events({ access_code_id })), ['created', 'failed_to_set_on_device', 'set_on_device'])
    assert.deepEqual(types(await workspace.events({ event_type: 'access_code.set_on_device' })), ['set_on_device'])
    assert.equal((await workspace.events({ limit: 1 })).length, 1)
  })

  test('httpFault makes requests fail; requests tells about them', async (t) => {
    const workspace = await workspaceFor(t)
    await workspace.httpFault({ path: '/devices/*', outcome: { status: 503 }, times: 3 })
    await assert.rejects(workspace.seam.devices.list(), (error) => isSeamHttpApiError(error) && error.statusCode === 503)
    assert.equal((await workspace.seam.devices.list()).length, 1)
    const statuses = (await workspace.requests({ path: '/devices/*' })).map(({ status }) => status)
    assert.deepEqual(statuses, [503, 503, 503, 200])
  })

  test('updateDevice, enterCode and lockMemory act on the lock', async (t) => {
    const workspace = await workspaceFor(t)
    const [{ device_id }] = workspace.devices
    const { code } = await workspace.seam.accessCodes.create({ device_id })
    await workspace.advance('1s')
    assert.deepEqual((await workspace.lockMemory(device_id)).map((held) => held.code), [code])
    assert.equal((await workspace.enterCode(device_id, code)).result, 'unlocked')
    assert.equal((await workspace.enterCode(device_id, '0000')).reason, 'unknown_code')
    assert.equal((await workspace.updateDevice(device_id, { online: false })).properties.online, false)
  })

  test('restore and reset return the workspace to an earlier state', async (t) => {
    const workspace = await workspaceFor(t)
    const [{ device_id }] = workspace.devices
    const count = async () => (await workspace.seam.accessCodes.list({ device_id })).length
    await workspace.seam.accessCodes.create({ device_id })
    const snapshot = await workspace.snapshot()
    await workspace.seam.accessCodes.create({ device_id })
    assert.equal(await count(), 2)
    await workspace.restore(snapshot)
    assert.equal(await count(), 1)
    await workspace.reset()
    assert.equal(await count(), 0)
  })

  test('disposed workspace is deleted, also if it was deleted before', async () => {
    const workspace = await latchkey.createWorkspace()
    await workspace[Symbol.asyncDispose]()
    await assert.rejects(workspace.events(), (error) => error instanceof LatchkeyError && error.status === 401)
    await workspace.delete()
  })

  test('rejected request throws the message, status and type of the server', async (t) => {
    const workspace = await workspaceFor(t)
    await workspace.run()
    await assert.rejects(workspace.advance('1h'), (error) => {
      assert.ok(error instanceof LatchkeyError)
      assert.match(error.message, /^\/_emulator\/clock\/advance: only a held clock can be advanced.*\(409 [a-z_]+\)$/)
      assert.equal(error.status, 409)
      return error.message.includes(`(409 ${error.type})`)
    })
  })

  test('seam does not use the proxy or the credentials of the environment', async () => {
    const env = { ...process.env, HTTP_PROXY: 'http://127.0.0.1:1', http_proxy: 'http://127.0.0.1:1', NO_PROXY: '', no_proxy: '' }
    const seam = { SEAM_PERSONAL_ACCESS_TOKEN: 'seam_at1_other', SEAM_WORKSPACE_ID: 'other', SEAM_ENDPOINT: 'http://127.0.0.1:1' }
    const source = `import { startLatchkey } from 'latchkey-seam'
      const latchkey = await startLatchkey()
      const workspace = await latchkey.createWorkspace({ locks: 3 })
      console.log((await workspace.seam.devices.list()).length)`
    assert.equal(await succeed(...script(source, { env: { ...env, ...seam } })), '3\n')
  })
})

describe('startLatchkey', () => {
  const connect = `import { startLatchkey } from 'latchkey-seam'
    const latchkey = await startLatchkey()
    console.log(latchkey.url)`

  test('two processes share one server, which serves the default sandbox', async () => {
    assert.equal(await succeed(...script(connect)), `${latchkey.url}\n`)
    const headers = { authorization: `Bearer ${latchkey.apiKey}` }
    const response = await fetch(`${latchkey.url}/workspaces/get`, { headers })
    assert.equal((await response.json()).workspace.workspace_id, '00000000-0000-4000-8000-000000000001')
  })

  test('other options get another server', async () => {
    const other = await startLatchkey({ args: ['--programming', 'at_once'] })
    try {
      assert.notEqual(other.url, latchkey.url)
      const workspace = await other.createWorkspace()
      const { status } = await workspace.seam.accessCodes.create({ device_id: workspace.devices[0].device_id })
      assert.equal(status, 'set')
    } finally {
      await other[Symbol.asyncDispose]()
    }
  })

  test('DATABASE_URL of the software under test is not passed to the server', async () => {
    const env = { ...process.env, DATABASE_URL: 'postgres://127.0.0.1:1/application' }
    assert.equal(await succeed(...script(connect, { env })), `${latchkey.url}\n`)
  })

  test('LATCHKEY_URL selects a running server; stop leaves it running', async () => {
    const env = { ...process.env, LATCHKEY_URL: `${latchkey.url}/`, LATCHKEY_BIN: '/nonexistent' }
    const source = `${connect}
      const workspace = await latchkey.createWorkspace()
      await workspace.delete()
      await latchkey.stop()`
    assert.equal(await succeed(...script(source, { env })), `${latchkey.url}\n`)
    assert.equal((await fetch(`${latchkey.url}/health`)).status, 200)
  })

  test('wrong address is reported by startLatchkey, with its cause', async (t) => {
    const listen = async (respond) => {
      const server = createServer(respond).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const close = () => new Promise((resolve) => server.close(resolve) && server.closeAllConnections())
      t.after(close)
      return { url: `http://127.0.0.1:${server.address().port}`, close }
    }
    const closed = await listen()
    await closed.close()
    await assert.rejects(startLatchkey(closed), new RegExp(`no Latchkey answers at ${closed.url} \\(ECONNREFUSED\\)`))
    const silent = await listen(() => {})
    await assert.rejects(startLatchkey({ ...silent, requestTimeout: 100 }), /no response within 100 ms \(option requestTimeout\)/)
    const other = await listen((_, response) => response.end('<html>'))
    await assert.rejects(startLatchkey(other), /is not a Latchkey: its response is 200 <html>/)
  })

  test('adminToken is sent to create workspaces', async () => {
    const other = await startLatchkey({ args: ['--admin-token', 'a token of this test'], adminToken: 'a token of this test' })
    try {
      const workspace = await other.createWorkspace()
      await workspace.delete()
      const without = await startLatchkey({ url: other.url })
      await assert.rejects(without.createWorkspace(), (error) => error.status === 401)
    } finally {
      await other.stop()
    }
  })

  test('server that does not start is reported with its output', async () => {
    await assert.rejects(startLatchkey({ args: ['--no-such-option'] }), /attach ended with exit code [12] before .*\n.*--no-such-option/s)
    await assert.rejects(startLatchkey({ args: ['--seed', 'slow'], startTimeout: 1 }), /was not ready after 1 ms \(option startTimeout\)/)
  })

  test('process ends without stop, and can be stopped twice', async () => {
    await succeed(...script(connect))
    await succeed(...script(`${connect}; await latchkey.stop(); await latchkey.stop()`))
  })

  test('client runs on the oldest version of Node', async () => {
    const [, args, options] = script(connect)
    assert.equal(await succeed(process.env.CHECK_OLD_NODE, args, options), `${latchkey.url}\n`)
  })

  test('client is usable without @seamapi/http, and says what is missing', async () => {
    // A loader that hides the package.
    const hide = `import { registerHooks } from 'node:module'
      registerHooks({ resolve(name, context, next) {
        if (name === '@seamapi/http') throw Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
        return next(name, context)
      } })`
    const source = `${hide}
      const { startLatchkey } = await import('latchkey-seam')
      const latchkey = await startLatchkey()
      const workspace = await latchkey.createWorkspace()
      console.log((await workspace.advance('1h')).now)
      try { workspace.seam } catch (error) { console.log(error.message) }`
    const output = await succeed(...script(source))
    assert.match(output, /^2026-01-01T01:00:00\.000Z\nworkspace\.seam needs the package @seamapi\/http.*\n.*npm install --save-dev @seamapi\/http/)
  })
})
