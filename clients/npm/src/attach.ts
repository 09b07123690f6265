// A user of the shared server: `latchkey attach`, a child process that keeps the server running until its stdin is closed.
//
// The operating system closes the pipe when this process ends for any reason, so a killed test run leaves nothing behind.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { LatchkeyError, messageOf } from './errors.js'
import { findProgram } from './program.js'

/** Time after which an `attach` that does not end is killed, in milliseconds. */
const END_TIMEOUT = 10_000

/** Number of characters of the error output that are kept for a message. */
const KEPT_OUTPUT = 4_000

/** A running server, and the right to use it. */
export interface Attached {
  /** Address of the server. */
  url: string
  /** API key of the default sandbox. */
  apiKey: string
  /** Ends the use of the server, and returns when that is done. */
  release(): Promise<void>
}

/**
 * Starts the shared server, or uses the running one with the same options.
 *
 * @param args Options of `latchkey serve`.
 * @param timeout Maximum time until the server is ready, in milliseconds.
 * @throws {@link LatchkeyError} if there is no program, or if the server is not ready in time.
 */
export async function attach(args: readonly string[], timeout: number): Promise<Attached> {
  const { file, env } = findProgram()
  // That of the software under test; the server would create its tables there.
  delete env['DATABASE_URL']
  const child = spawn(file, ['attach', ...args], { env, stdio: 'pipe' })
  // Writes nothing; a child that has ended closes the pipe with an error.
  child.stdin.on('error', () => {})
  try {
    const { url, api_key } = JSON.parse(await firstLine(child, timeout)) as { url: string; api_key: string }
    doNotWaitFor(child)
    return { url, apiKey: api_key, release: () => end(child) }
  } catch (error) {
    child.kill('SIGKILL')
    throw error instanceof LatchkeyError
      ? error
      : new LatchkeyError(`${file} attach did not start as expected: ${messageOf(error)}. Is it another version?`, { cause: error })
  }
}

/** Returns the first line of the standard output. */
function firstLine(child: ChildProcessWithoutNullStreams, timeout: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const [program] = child.spawnargs
    let output = ''
    let errors = ''
    const fail = (what: string) => reject(new LatchkeyError(`${program} attach ${what}${errors && `:\n${errors.trim()}`}`))
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (output.includes('\n')) resolve(output.slice(0, output.indexOf('\n')))
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-KEPT_OUTPUT)
    })
    child.on('error', (error) => fail(`cannot be run: ${error.message}`))
    child.on('close', (code, signal) => fail(`ended with ${signal ?? `exit code ${code}`} before the server was ready`))
    // Not setTimeout, which a test may have replaced.
    const limit = AbortSignal.timeout(timeout)
    limit.addEventListener('abort', () => fail(`was not ready after ${timeout} ms (option startTimeout)`))
  })
}

/** Lets this process end although the child is running. */
function doNotWaitFor(child: ChildProcessWithoutNullStreams): void {
  child.unref()
  for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as unknown as Socket).unref()
}

async function end(child: ChildProcessWithoutNullStreams): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.ref()
  child.stdin.end()
  AbortSignal.timeout(END_TIMEOUT).addEventListener('abort', () => child.kill('SIGKILL'))
  await ended
}
