// The commands and the code of the README, for tests that run them.
//
//   node readme.mjs DIRECTORY      writes them to files: server.sh, install.sh, guest.test.mjs, test.sh

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const text = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8')
const blocks = [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, code]) => ({ language, code }))

/** Returns the only block that contains a text. */
function block(part) {
  const found = blocks.filter(({ code }) => code.includes(part))
  if (found.length !== 1) throw new Error(`${found.length} blocks of the README contain: ${part}`)
  return found[0].code
}

/** The contents of the README by file name. The server gets a free port, because 7326 may be in use on this machine. */
export const FILES = {
  'server.sh': block('npx latchkey-seam').replace('npx latchkey-seam', 'exec npx latchkey-seam --port 0'),
  'install.sh': block('npm install'),
  'guest.test.mjs': block("from 'node:test'"),
  'test.sh': text.match(/run `(node --test)`/)[1],
}

/** The example for vitest. */
export const VITEST = block("from 'vitest'")

/** The command for jest. */
export const [JEST] = text.match(/NODE_OPTIONS=\S+ npx jest/)

/** The import for jest in CommonJS. */
export const [REQUIRE] = text.match(/const \{ startLatchkey \} = require\('latchkey-seam'\)/)

/** The names in the table of the members of a workspace, without parameters. */
export const MEMBERS = [...text.match(/\| member of a workspace.*?\n\n/s)[0].matchAll(/^\| (.*?) \|/gm)].flatMap(([, cell]) =>
  [...cell.matchAll(/`(\w+)/g)].map(([, name]) => name).filter((name) => name !== 'await'),
)

const [directory] = process.argv.slice(2)
if (directory && process.argv[1] === import.meta.filename) {
  for (const [name, code] of Object.entries(FILES)) writeFileSync(join(directory, name), code)
}
