// Requests to the control plane.

import type { paths } from './control-plane.js'
import { LatchkeyError } from './errors.js'

/** Path of the control plane that takes `POST`, without `/_emulator/`: `clock/advance`. */
export type ControlPath = {
  [Path in keyof paths]: Path extends `/_emulator/${infer Rest}` ? (paths[Path]['post'] extends undefined ? never : Rest) : never
}[keyof paths]

type Post<Path extends ControlPath> = NonNullable<paths[`/_emulator/${Path}`]['post']>

type Content<Message> = NonNullable<Message> extends { content: { 'application/json': infer Json } } ? Json : Record<string, never>

/** Parameters of a path of the control plane. */
export type ControlParameters<Path extends ControlPath> = Content<Post<Path>['requestBody']>

/** Response of a path of the control plane. */
export type ControlResponse<Path extends ControlPath> = Content<Post<Path>['responses'][200]>

/** Where requests are sent, and on whose behalf. */
export interface Target {
  /** Address of the server. */
  url: string
  /** API key of a workspace, or the admin token. Without it, the server must accept requests without a credential. */
  credential: string | undefined
  /** Maximum duration of a request, in milliseconds. */
  timeout: number
}

/**
 * Sends a request to the control plane and returns the response.
 *
 * @throws {@link LatchkeyError} with the message of the server if it rejects the request, and if it does not respond.
 */
export async function post<Path extends ControlPath>(
  target: Target,
  path: Path,
  body: ControlParameters<Path>,
): Promise<ControlResponse<Path>> {
  return (await send(target, `/_emulator/${path}`, body ?? {})) as ControlResponse<Path>
}

/** Sends a POST request with JSON, or a GET request without a body, and returns the JSON of the response. */
export async function send({ url, credential, timeout }: Target, path: string, body?: unknown): Promise<unknown> {
  const headers: Record<string, string> = { 'content-type': 'application/json' }
  if (credential !== undefined) headers['authorization'] = `Bearer ${credential}`
  const content = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
  const request = { ...content, headers, signal: AbortSignal.timeout(timeout) }
  let status: number
  let text: string
  try {
    const response = await fetch(url + path, request)
    status = response.status
    text = await response.text()
  } catch (error) {
    throw noResponse(url, path, error, timeout)
  }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new LatchkeyError(`${path}: ${url} is not a Latchkey: its response is ${status} ${text.slice(0, 200)}`, { status, cause })
  }
  if (status === 200) return json
  throw rejection(path, status, json)
}

function noResponse(url: string, path: string, error: unknown, timeout: number): LatchkeyError {
  if (error instanceof Error && error.name === 'TimeoutError') {
    return new LatchkeyError(`${path}: no response within ${timeout} ms (option requestTimeout)`, { cause: error })
  }
  // The message of fetch says nothing; its cause has the error of the operating system.
  const { code, message } = ((error as Error).cause ?? error) as NodeJS.ErrnoException
  const advice = 'Is the server running, and is the address right?'
  return new LatchkeyError(`${path}: no Latchkey answers at ${url} (${code ?? message}). ${advice}`, { cause: error })
}

function rejection(path: string, status: number, json: unknown): LatchkeyError {
  const { message, type } = (json as { error?: { message?: string; type?: string } }).error ?? {}
  return new LatchkeyError(`${path}: ${message ?? JSON.stringify(json)} (${status} ${type})`, { status, type })
}
