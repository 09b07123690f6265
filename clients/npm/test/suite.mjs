// Source of a test file with 25 tests, each with a workspace, for one runner.

const TESTS = `
for (let number = 1; number <= 25; number++) {
  test('code ' + number + ' is set, and deleted after its end', async () => {
    const workspace = await latchkey.createWorkspace()
    const { access_code_id } = await workspace.seam.accessCodes.create({
      device_id: workspace.devices[0].device_id,
      starts_at: '2026-01-02T00:00:00Z',
      ends_at: '2026-01-03T00:00:00Z',
    })
    await workspace.advance('24h')
    assert.equal((await workspace.seam.accessCodes.get({ access_code_id })).status, 'set')
    await workspace.advance('25h')
    assert.equal((await workspace.events({ access_code_id })).at(-1).event_type, 'access_code.deleted')
    await workspace.delete()
  })
}
`

// Each file adds the address of its server to a file, so that the caller sees how many servers there were.
const RECORD = "fs.appendFileSync(process.env.CHECK_URLS, latchkey.url + '\\n')"

const HOOKS = `
let latchkey
beforeAll(async () => {
  latchkey = await startLatchkey()
  ${RECORD}
}, 60_000)
afterAll(() => latchkey.stop())
`

const IMPORTS = `
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { startLatchkey } from 'latchkey-seam'
`

const REQUIRES = `
const assert = require('node:assert/strict')
const fs = require('node:fs')
const { startLatchkey } = require('latchkey-seam')
`

const FAKES = `
test('requests do not wait for faked timers', async () => {
  fakes.useFakeTimers()
  const workspace = await latchkey.createWorkspace()
  await workspace.advance('1h')
  assert.equal((await workspace.seam.devices.list()).length, 1)
  fakes.useRealTimers()
})

test('errors have the classes that the test imports', async () => {
  const { isSeamHttpApiError } = await import('@seamapi/http')
  const workspace = await latchkey.createWorkspace()
  await assert.rejects(workspace.seam.devices.get({ device_id: workspace.workspaceId }), (error) => isSeamHttpApiError(error))
})
`

const WITHOUT_CLIENT = `
test('workspace works without the client', async () => {
  const workspace = await latchkey.createWorkspace()
  assert.equal((await workspace.advance('1h')).now, '2026-01-01T01:00:00.000Z')
  assert.throws(() => workspace.seam, /jest needs NODE_OPTIONS=--experimental-vm-modules/)
})
`

/** Sources of one file with a few tests, for runners that replace parts of Node. */
export const SMALL = {
  vitest: `import { afterAll, beforeAll, test, vi as fakes } from 'vitest'${IMPORTS}${HOOKS}${FAKES}`,
  'jest, ES modules': `import { jest as fakes } from '@jest/globals'${IMPORTS}${HOOKS}${FAKES}`,
  'jest, CommonJS': `const fakes = jest${REQUIRES}${HOOKS}${FAKES}`,
  'jest, Babel': `const fakes = jest${IMPORTS}${HOOKS}${FAKES}`,
  'jest without the client': `${REQUIRES}${HOOKS}${WITHOUT_CLIENT}`,
}

/** Sources by runner. The one for node:test does not call stop: the end of the process must have the same effect. */
export const SUITES = {
  node: `import { test } from 'node:test'${IMPORTS}const latchkey = await startLatchkey()\n${RECORD}\n${TESTS}`,
  vitest: `import { afterAll, beforeAll, test } from 'vitest'${IMPORTS}${HOOKS}${TESTS}`,
  'jest, ES modules': `${IMPORTS}${HOOKS}${TESTS}`,
  'jest, CommonJS': `${REQUIRES}${HOOKS}${TESTS}`,
  'jest, Babel': `${IMPORTS}${HOOKS}${TESTS}`,
}
