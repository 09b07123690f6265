// The platforms for which the program exists as a package.

/** Conditions of npm for a package of one platform. `libc` exists on Linux only. */
export interface Platform {
  os: NodeJS.Platform
  cpu: NodeJS.Architecture
  libc?: 'glibc' | 'musl'
}

/** Scope of the packages that contain the program. */
export const SCOPE = '@latchkey-seam'

/** All platforms with a package. The key is the name of the package within {@link SCOPE}. */
export const PLATFORMS: Readonly<Record<string, Platform>> = {
  'darwin-arm64': { os: 'darwin', cpu: 'arm64' },
  'linux-arm64': { os: 'linux', cpu: 'arm64', libc: 'glibc' },
  'linux-arm64-musl': { os: 'linux', cpu: 'arm64', libc: 'musl' },
  'linux-x64': { os: 'linux', cpu: 'x64', libc: 'glibc' },
  'linux-x64-musl': { os: 'linux', cpu: 'x64', libc: 'musl' },
}

/** Returns the name of this machine's platform, which need not be one of {@link PLATFORMS}. */
export function currentPlatform(): string {
  return `${process.platform}-${process.arch}${usesMusl() ? '-musl' : ''}`
}

/** Returns true on a Linux whose C library is musl, such as Alpine. Node's report names the version of glibc. */
export function usesMusl(): boolean {
  if (process.platform !== 'linux') return false
  const report = process.report as typeof process.report & { excludeNetwork?: boolean }
  const { excludeNetwork = false } = report
  // Otherwise the report looks up the host names of all open connections.
  report.excludeNetwork = true
  const { header } = report.getReport() as unknown as { header: { glibcVersionRuntime?: string } }
  report.excludeNetwork = excludeNetwork
  return header.glibcVersionRuntime === undefined
}
