#!/usr/bin/env node
// Runs the program `latchkey` in place of this process: with the same arguments, standard streams, signals and exit code.

import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { messageOf } from './errors.js'
import { findProgram, type Program } from './program.js'

/** Signals that ask a program to end. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const

function main(): void {
  const args = process.argv.slice(2)
  let program
  try {
    program = findProgram()
  } catch (error) {
    process.stderr.write(`latchkey-seam: ${messageOf(error)}\n`)
    process.exitCode = 1
    return
  }
  // Replaces this process, so that no signal can reach it without the program, not even SIGKILL. Node has it since 22.15.
  if ('execve' in process) process.execve(program.file, [program.file, ...args], program.env)
  else runAsChild(program, args)
}

/** Runs the program as a child process, passes signals to it, and ends as it ended. */
function runAsChild({ file, env }: Program, args: string[]): void {
  const child = spawn(file, args, { env, stdio: 'inherit' })
  for (const signal of SIGNALS) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    process.stderr.write(`latchkey-seam: cannot run ${file}: ${error.message}\n`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    if (signal === null) {
      process.exitCode = code ?? 1
      return
    }
    for (const handled of SIGNALS) process.removeAllListeners(handled)
    // The exit code counts if the signal does not end this process.
    process.exitCode = 128 + constants.signals[signal]
    process.kill(process.pid, signal)
  })
}

main()
