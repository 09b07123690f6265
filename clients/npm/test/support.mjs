// What the tests share. check.sh sets the environment.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach } from 'node:test'

/** Directory in which the package is installed. */
export const CONSUMER = process.env.CHECK_CONSUMER

/** The launcher, as npm links it. */
export const LAUNCHER = join(CONSUMER, 'node_modules/.bin/latchkey-seam')

/** Creates a directory that every user can read, and deletes it after the tests of the file. */
export function makeDirectory(parent = join(CONSUMER, '..')) {
  const directory = mkdtempSync(join(parent, 'test-'))
  chmodSync(directory, 0o755)
  after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Value of a variable that all processes of this check have, and no others. */
const MARK = process.env.CHECK_MARK

/** Maximum duration of one command, in milliseconds. */
const LIMIT = 120_000

/** Processes that a test has started, with all of their group. Those that a failed test leaves are killed. */
const started = []

afterEach(() => {
  for (const { pid } of started.splice(0)) {
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // It has ended.
    }
  }
})

// With this variable, `node --test` would do nothing.
delete process.env.NODE_TEST_CONTEXT

/** Starts a command in a process group of its own, for at most {@link LIMIT}. Its output is in `child.output` as it arrives. */
export function start(command, args, options) {
  const limit = { timeout: LIMIT, killSignal: 'SIGKILL' }
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, ...limit, ...options })
  started.push(child)
  child.output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => (child.output += text))
  }
  child.ended = once(child, 'close').then(([code, signal]) => ({ code, signal, output: child.output }))
  return child
}

/** Runs a command, and returns its exit code, its signal and its output. */
export async function run(command, args, options) {
  return await start(command, args, options).ended
}

/** Runs a command that must succeed, and returns its output. */
export async function succeed(command, args, options) {
  const { code, signal, output } = await run(command, args, options)
  assert.equal(signal ?? code, 0, `${command} ${args.join(' ')}:\n${output}`)
  return output
}

/** Waits until the condition is true, and returns its value. */
export async function until(condition, what, limit = 20_000) {
  const end = Date.now() + limit
  for (;;) {
    const value = await condition()
    if (value) return value
    if (Date.now() > end) assert.fail(`not within ${limit} ms: ${typeof what === 'function' ? what() : what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Waits until the output of a server has its address, and returns it. */
export async function readyUrl(server) {
  return await until(() => {
    assert.equal(server.exitCode, null, server.output)
    return server.output.match(/^ready on (\S+)/m)?.[1]
  }, 'ready on URL')
}

/** Reads a file of /proc; empty if the process has ended or belongs to the kernel. */
function read(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

/** Returns the commands of all processes: `{ pid, command }`. */
function processes() {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map((pid) => ({ pid: Number(pid), command: read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ') }))
}

/** Returns the processes of this check that run `latchkey`. */
export function servers() {
  const isOfThisCheck = ({ pid }) => read(`/proc/${pid}/environ`).includes(`CHECK_MARK=${MARK}`)
  return processes().filter(({ command }) => /^\S*latchkey\S* /.test(command)).filter(isOfThisCheck)
}

/** Returns the PostgreSQL servers that run from the directory. */
export function postgresFrom(directory) {
  return processes().filter(({ command }) => command.startsWith(`${directory}/bin/postgres `))
}

/** Waits until nothing of this check runs any more, and the data of the given servers is deleted. */
export async function allGone(pids = [], limit) {
  await until(() => servers().length === 0, () => `nothing left of ${JSON.stringify(servers())}`, limit)
  const data = pids.flatMap((pid) => ['/dev/shm', '/tmp'].map((parent) => `${parent}/latchkey-throwaway-${pid}-0`))
  await until(() => !data.some((directory) => existsSync(directory)), () => `nothing left of ${data}`, limit)
}
