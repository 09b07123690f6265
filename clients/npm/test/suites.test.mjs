// Test suites in several workers, with the usual runners.

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, test } from 'node:test'
import { allGone, CONSUMER, makeDirectory, run, servers, start, until } from './support.mjs'
import { SMALL, SUITES } from './suite.mjs'

const VM_MODULES = { NODE_OPTIONS: '--experimental-vm-modules --no-warnings' }
const BABEL = { presets: [['@babel/preset-env', { targets: { node: 'current' } }]] }

/** How each runner is called with four workers, and the name of its test files. */
const RUNNERS = [
  { name: 'node', command: ['node', '--test', '--test-concurrency=4'], file: 'suite-#.test.mjs', limit: 15_000 },
  { name: 'vitest', command: ['npx', 'vitest', 'run', '--pool=forks', '--maxWorkers=4'], file: 'suite-#.test.mjs' },
  { name: 'vitest', command: ['npx', 'vitest', 'run', '--pool=threads', '--maxWorkers=4'], file: 'suite-#.test.mjs' },
  { name: 'jest, ES modules', command: ['npx', 'jest', '--maxWorkers=4'], file: 'suite-#.test.mjs', env: VM_MODULES,
    config: { testMatch: ['**/*.test.mjs'], moduleFileExtensions: ['mjs', 'js', 'json'] } },
  { name: 'jest, CommonJS', command: ['npx', 'jest', '--maxWorkers=4'], file: 'suite-#.test.js', env: VM_MODULES, config: {} },
  { name: 'jest, Babel', command: ['npx', 'jest', '--maxWorkers=4'], file: 'suite-#.test.js',
    config: { transformIgnorePatterns: ['/node_modules/(?!@seamapi/)'] } },
  { name: 'jest without the client', command: ['npx', 'jest', '--maxWorkers=4'], file: 'suite-#.test.js', config: {} },
]

/** Writes copies of a test file, and runs them. */
async function runSuite({ command: [program, ...args], file, env, config }, source, copies) {
  const directory = makeDirectory(CONSUMER)
  for (let number = 1; number <= copies; number++) writeFileSync(join(directory, file.replace('#', number)), source)
  const jest = { ...config, cacheDirectory: '<rootDir>/cache' }
  const files = { 'package.json': {}, 'babel.config.json': BABEL, 'jest.config.json': jest }
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), JSON.stringify(content))
  const urls = join(directory, 'urls')
  const begin = Date.now()
  const result = await run(program, args, { cwd: directory, env: { ...process.env, ...env, CHECK_URLS: urls } })
  assert.equal(result.code, 0, result.output)
  return { ...result, urls: readFileSync(urls, 'utf8').trim().split('\n'), milliseconds: Date.now() - begin }
}

afterEach(() => allGone())

describe('100 tests with a workspace each in four workers use one server', () => {
  for (const runner of RUNNERS.filter(({ name }) => name in SUITES)) {
    test(`${runner.name}: ${runner.command.slice(1).join(' ')}, 100 tests`, async (t) => {
      const { urls, milliseconds, output } = await runSuite(runner, SUITES[runner.name], 4)
      assert.deepEqual([urls.length, new Set(urls).size], [4, 1], urls.join(' '))
      assert.match(output.replaceAll(/\x1b\[\d+m/g, ''), /(pass|Tests.*) 100\b/, output)
      t.diagnostic(`${milliseconds} ms`)
      if (runner.limit) assert.ok(milliseconds < runner.limit, `took ${milliseconds} ms`)
    })
  }
})

describe('client works in a runner that replaces parts of Node', () => {
  for (const runner of RUNNERS.filter(({ name }) => name in SMALL)) {
    test(`${runner.name}: ${runner.command.slice(1).join(' ')}, one file`, async () => {
      await runSuite(runner, SMALL[runner.name], 1)
    })
  }
})

describe('server ends', () => {
  const SCRIPT = `import { startLatchkey } from 'latchkey-seam'
    const latchkey = await startLatchkey()
    await latchkey.createWorkspace()
    console.log('ready on ' + latchkey.url)
    setInterval(() => {}, 1000)`
  const begin = async () => {
    const child = start('node', ['--input-type=module', '--eval', SCRIPT], { cwd: CONSUMER })
    await until(() => child.output.includes('ready on'), 'a server')
    return { child, server: servers().find(({ command }) => command.includes(' serve')).pid }
  }

  test('server ends after its only user was killed, with its data', async () => {
    const { child, server } = await begin()
    child.kill('SIGKILL')
    await child.ended
    await allGone([server], 5_000)
  })

  test('server ends after a whole process group was killed', async () => {
    const { child, server } = await begin()
    process.kill(-child.pid, 'SIGKILL')
    await child.ended
    await allGone([server], 5_000)
  })

  test('server stays for the second user when the first is killed', async () => {
    const first = await begin()
    const second = await begin()
    assert.equal(second.server, first.server)
    first.child.kill('SIGKILL')
    await first.child.ended
    await until(() => servers().filter(({ command }) => command.includes(' attach')).length === 1, 'one user')
    const url = second.child.output.match(/ready on (\S+)/)[1]
    assert.equal((await fetch(`${url}/health`)).status, 200)
    second.child.kill('SIGTERM')
    await second.child.ended
    await allGone([second.server], 5_000)
  })

  test('server ends after the runner of a suite and its workers were killed', async () => {
    const directory = makeDirectory(CONSUMER)
    const endless = SUITES.node.replace(/for \(let number.*$/s, "test('endless', () => new Promise(() => setInterval(() => {}, 1000)))")
    for (const number of [1, 2, 3, 4]) writeFileSync(join(directory, `suite-${number}.test.mjs`), endless)
    const urls = join(directory, 'urls')
    writeFileSync(urls, '')
    const runner = start('node', ['--test', '--test-concurrency=4'], { cwd: directory, env: { ...process.env, CHECK_URLS: urls } })
    await until(() => readFileSync(urls, 'utf8').split('\n').length === 5, 'four users')
    const { pid } = servers().find(({ command }) => command.includes(' serve'))
    process.kill(-runner.pid, 'SIGKILL')
    await runner.ended
    await allGone([pid], 5_000)
  })
})
