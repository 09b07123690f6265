// The official client, which the user of this package installs.

import { LatchkeyError, messageOf } from './errors.js'

// The directives are in the published types too: without the optional package, these types are `any`.

/** The official client.
 * @ts-ignore */
export type SeamHttp = import('@seamapi/http', { with: { 'resolution-mode': 'import' } }).SeamHttp

/** A device, as the official client returns it.
 * @ts-ignore */
export type Device = import('@seamapi/http', { with: { 'resolution-mode': 'import' } }).Device

/** An event, as the official client returns it.
 * @ts-ignore */
export type SeamEvent = import('@seamapi/http', { with: { 'resolution-mode': 'import' } }).SeamEvent

/** @internal */
type Module = typeof import('@seamapi/http', { with: { 'resolution-mode': 'import' } })

/** The package of the official client, or the reason why it cannot be loaded.
 * @internal */
export type Client = Module | LatchkeyError

/**
 * Loads the official client. It is loaded as the tests load it, so that its
 * classes, such as those of errors, are the same.
 *
 * @internal
 */
export async function loadClient(): Promise<Client> {
  try {
    return await import('@seamapi/http')
  } catch (error) {
    // Jest without --experimental-vm-modules cannot import, but can require a package that it has transformed.
    if ((error as NodeJS.ErrnoException).code !== 'ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING_FLAG') return explained(error)
  }
  try {
    return require('@seamapi/http') as Module
  } catch (error) {
    return explained(error)
  }
}

function explained(error: unknown): LatchkeyError {
  return new LatchkeyError(
    `workspace.seam needs the package @seamapi/http, which cannot be loaded: ${messageOf(error)}\n` +
      'Install it with `npm install --save-dev @seamapi/http`. ' +
      'It is an ES module: jest needs NODE_OPTIONS=--experimental-vm-modules.',
    { cause: error },
  )
}
