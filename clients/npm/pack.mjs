#!/usr/bin/env node
// Writes the tarballs of the package latchkey-seam and of the package with the program for one platform:
//
//   node clients/npm/pack.mjs PROGRAM PLATFORM DIRECTORY      for example: target/release/latchkey linux-x64 target/tarballs
//
// The version is that of Cargo.toml. Builds in target/npm, where the packages that are needed for it stay for the next time.

import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const repository = resolve(import.meta.dirname, '../..')
const build = join(repository, 'target/npm')
const LICENSES = ['LICENSE-APACHE', 'LICENSE-MIT']
// Licences of the packages that are compiled into the program.
const NOTICES = 'THIRD-PARTY-LICENSES'

const [, version] = readFileSync(join(repository, 'Cargo.toml'), 'utf8').match(/^version = "(.+)"$/m)
const manifest = JSON.parse(readFileSync(join(import.meta.dirname, 'package.json'), 'utf8'))

/** Compiles the sources to `target/npm/dist`, and returns what they say about platforms. */
function compile() {
  mkdirSync(build, { recursive: true })
  for (const name of ['src', 'dist']) rmSync(join(build, name), { recursive: true, force: true })
  for (const name of ['src', 'package.json', 'tsconfig.json']) {
    cpSync(join(import.meta.dirname, name), join(build, name), { recursive: true })
  }
  const run = (...args) => execFileSync('npm', args, { cwd: build, stdio: ['ignore', process.stderr, process.stderr] })
  // The optional dependencies are large, and only needed to run the program.
  run('install', '--omit=optional', '--no-package-lock', '--no-audit', '--no-fund', '--silent')
  run('run', 'build', '--silent')
  return createRequire(import.meta.url)(join(build, 'dist/platform.js'))
}

/** Packs a directory that `fill` writes, and prints the path of the tarball. */
function pack(output, manifest, fill) {
  const tarball = join(output, `${manifest.name.replace('@', '').replace('/', '-')}-${manifest.version}.tgz`)
  // One of an earlier run must not count as written.
  rmSync(tarball, { force: true })
  const directory = mkdtempSync(join(tmpdir(), 'latchkey-pack-'))
  try {
    const files = [...manifest.files, ...LICENSES]
    writeFileSync(join(directory, 'package.json'), JSON.stringify({ ...manifest, files }, undefined, 2))
    for (const name of LICENSES) copyFileSync(join(repository, name), join(directory, name))
    fill(directory)
    const options = { cwd: directory, stdio: ['ignore', 'ignore', 'inherit'] }
    execFileSync('npm', ['pack', '--loglevel=error', '--pack-destination', output], options)
    if (!existsSync(tarball)) throw new Error(`npm pack did not write ${tarball}`)
    console.log(tarball)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function packMain(output, { PLATFORMS, SCOPE }) {
  const { devDependencies, scripts, ...published } = manifest
  const programs = Object.keys(PLATFORMS).map((platform) => [`${SCOPE}/${platform}`, version])
  const optionalDependencies = { ...Object.fromEntries(programs), ...published.optionalDependencies }
  pack(output, { ...published, version, optionalDependencies }, (directory) => {
    copyFileSync(join(import.meta.dirname, 'README.md'), join(directory, 'README.md'))
    cpSync(join(build, 'dist'), join(directory, 'dist'), { recursive: true })
  })
}

function packPlatform(output, { PLATFORMS, SCOPE }, program, platform) {
  const { os, cpu, libc } = PLATFORMS[platform]
  const published = {
    name: `${SCOPE}/${platform}`,
    version,
    description: `The program of latchkey-seam for ${platform}`,
    license: manifest.license,
    os: [os],
    cpu: [cpu],
    ...(libc && { libc: [libc] }),
    files: ['bin', NOTICES],
    // Yarn would otherwise keep the program in an archive, from which it cannot be run.
    preferUnplugged: true,
  }
  pack(output, published, (directory) => {
    mkdirSync(join(directory, 'bin'))
    copyFileSync(program, join(directory, 'bin/latchkey'))
    chmodSync(join(directory, 'bin/latchkey'), 0o755)
    writeFileSync(join(directory, NOTICES), execFileSync(join(repository, '.ci/licenses'), { maxBuffer: 2 ** 26 }))
    writeFileSync(join(directory, 'README.md'), `The program of latchkey-seam for ${platform}. Install latchkey-seam instead.\n`)
  })
}

const [program, platform, output] = process.argv.slice(2)
if (!output) throw new Error('usage: pack.mjs PROGRAM PLATFORM DIRECTORY')
const platforms = compile()
if (!(platform in platforms.PLATFORMS)) throw new Error(`${platform} is not one of ${Object.keys(platforms.PLATFORMS).join(', ')}`)
mkdirSync(output, { recursive: true })
packMain(resolve(output), platforms)
packPlatform(resolve(output), platforms, resolve(program), platform)
