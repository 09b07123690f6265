// The types of the package, as the compiler of a user sees them.

import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { CONSUMER, makeDirectory, succeed } from './support.mjs'

const NEW = join(CONSUMER, 'node_modules/typescript/bin/tsc')
// The one that the package is built with.
const OLD = join(import.meta.dirname, '../../../target/npm/node_modules/typescript/bin/tsc')

const NODE = ['latchkey-seam', '@types/node', 'undici-types']
const CLIENT = ['@seamapi', 'axios', 'axios-retry']

const work = makeDirectory()

/** Compiles the files in a new directory with these packages. */
async function compile(name, { tsc, type, packages, files, options }) {
  const directory = join(work, name)
  for (const name of packages) {
    cpSync(join(CONSUMER, 'node_modules', name), join(directory, 'node_modules', name), { recursive: true })
  }
  for (const file of files) cpSync(join(import.meta.dirname, 'types', file), join(directory, file))
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ type }))
  const compilerOptions = { strict: true, noEmit: true, target: 'es2022', types: ['node'], ...options }
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
  await succeed(process.execPath, [tsc, '-p', directory])
}

// Also checks the types in the packages. Those of @seamapi/http need the newest library, and those of axios the browser's.
const CHECKED = { skipLibCheck: false, lib: ['esnext', 'dom', 'dom.iterable'] }

for (const [name, tsc, type, options] of [
  ['ES modules', NEW, 'module', { module: 'nodenext', ...CHECKED }],
  ['CommonJS', NEW, 'commonjs', { module: 'nodenext', ...CHECKED }],
  ['node16', NEW, 'commonjs', { module: 'node16', ...CHECKED }],
  ['a bundler', NEW, 'module', { module: 'esnext', moduleResolution: 'bundler', ...CHECKED }],
  ['an older compiler', OLD, 'module', { module: 'nodenext', skipLibCheck: true }],
]) {
  test(`types are right for ${name}`, () =>
    compile(name, { tsc, type, packages: [...NODE, ...CLIENT], files: ['consumer.ts', 'client.ts'], options }))
}

for (const [name, tsc] of [['the newest compiler', NEW], ['an older compiler', OLD]]) {
  const options = { module: 'nodenext', skipLibCheck: false }
  test(`types do not need @seamapi/http, with ${name}`, () =>
    compile(`without client, ${name}`, { tsc, type: 'module', packages: NODE, files: ['consumer.ts'], options }))
}
