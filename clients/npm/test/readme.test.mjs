// The README: its commands and its code work as they are.

import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, test } from 'node:test'
import { createRequire } from 'node:module'
import { allGone, CONSUMER, makeDirectory, readyUrl, start, succeed } from './support.mjs'
import { FILES, JEST, MEMBERS, REQUIRE, VITEST } from './readme.mjs'

const work = makeDirectory()
afterEach(() => allGone())

const env = { ...process.env }
delete env.LATCHKEY_BIN

/** Creates a directory with these files: new, or next to the installed packages. */
function directoryWith(name, files, parent = work) {
  const directory = join(parent, name)
  mkdirSync(directory)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
  return directory
}

test('README starts a server on a machine without the package', async () => {
  const server = start('sh', ['server.sh'], { cwd: directoryWith('server', FILES), env })
  const url = await readyUrl(server)
  assert.equal((await fetch(`${url}/health`)).status, 200)
  process.kill(-server.pid, 'SIGINT')
  await server.ended
})

test('README has a first test that passes', async () => {
  const cwd = directoryWith('first', FILES)
  await succeed('sh', ['install.sh'], { cwd, env })
  assert.match(await succeed('sh', ['test.sh'], { cwd, env }), /pass 1\b/)
})

test('README has a test for vitest', async (t) => {
  const cwd = directoryWith('readme-vitest', { 'lock.test.mjs': VITEST, 'package.json': '{}' }, CONSUMER)
  t.after(() => rmSync(cwd, { recursive: true }))
  assert.match(await succeed('npx', ['vitest', 'run', '--no-color'], { cwd }), /Tests +1 passed/)
})

test('README has a test for jest', async (t) => {
  const code = VITEST.replace(/^import .* from 'vitest'\n/, '').replace(/^import .* from 'latchkey-seam'$/m, REQUIRE)
  assert.ok(code.startsWith('const'), code)
  const cwd = directoryWith('readme-jest', { 'lock.test.js': code, 'package.json': '{}' }, CONSUMER)
  t.after(() => rmSync(cwd, { recursive: true }))
  assert.match(await succeed('sh', ['-c', JEST], { cwd }), /Tests: +1 passed/)
})

test('README lists the members of a workspace, all of them', async () => {
  const types = readFileSync(join(CONSUMER, 'node_modules/latchkey-seam/dist/workspace.d.ts'), 'utf8')
  const [declaration] = types.match(/class Workspace \{.*/s)
  const members = [...declaration.matchAll(/^ {4}(?:readonly |get )?(\w+)[<(:]/gm)].map(([, name]) => name)
  assert.deepEqual([...new Set(MEMBERS)].sort(), members.sort())
  assert.equal(createRequire(join(CONSUMER, 'index.js'))('latchkey-seam/package.json').name, 'latchkey-seam')
})
