import { type Attached, attach } from './attach.js'
import { type ControlParameters, post, send, type Target } from './control.js'
import { type Client, loadClient } from './seam.js'
import { Workspace } from './workspace.js'

/** API key of the default sandbox, the same on every server. */
const SANDBOX_KEY = 'seam_testsand_LatchkeySandbox'

/** Options of {@link startLatchkey}. */
export interface LatchkeyOptions {
  /** Address of a running server to use. Default: `LATCHKEY_URL`, else the shared server is used, and started if necessary. */
  url?: string
  /** Admin token of the server, if it has one. Default: `LATCHKEY_ADMIN_TOKEN`. */
  adminToken?: string
  /** Options of `latchkey serve` for the shared server. Users with different options get different servers. */
  args?: readonly string[]
  /** Maximum time until the shared server is ready, in milliseconds. Default: 60,000. */
  startTimeout?: number
  /** Maximum duration of a request to the control plane, in milliseconds. Default: 60,000. */
  requestTimeout?: number
}

/** Parameters of a new workspace: those of `/_emulator/workspaces/create`. */
export type WorkspaceParameters = ControlParameters<'workspaces/create'>

/** Parameters that {@link Latchkey.createWorkspace} uses unless others are given. */
const DEFAULTS = { clock: { held_at: '2026-01-01T00:00:00Z' }, locks: 1, ttl: 'PT1H' } satisfies WorkspaceParameters

/**
 * Returns a server for tests. All processes of a user share one server, which stops about a second after its last user has
 * ended. With `LATCHKEY_URL` or the option `url`, uses the server at that address.
 *
 * @throws {@link LatchkeyError} if there is no program for this machine, or if the server does not start or does not respond.
 */
export async function startLatchkey(options: LatchkeyOptions = {}): Promise<Latchkey> {
  const { startTimeout = 60_000, requestTimeout = 60_000 } = options
  const url = (options.url ?? process.env['LATCHKEY_URL'])?.replace(/\/+$/, '')
  const credential = options.adminToken ?? process.env['LATCHKEY_ADMIN_TOKEN']
  // The client is loaded here, and not for the first workspace, because that can take long and tests have short limits.
  const attached = url ? use(url, requestTimeout) : attach(options.args ?? [], startTimeout)
  const [server, client] = await Promise.all([attached, loadClient()])
  return new Latchkey(server, client, { url: server.url, credential, timeout: requestTimeout })
}

/** Returns a running server. Sends a first request, so that a wrong address fails here and not in a test. */
async function use(url: string, timeout: number): Promise<Attached> {
  await send({ url, credential: undefined, timeout }, '/health')
  return { url, apiKey: SANDBOX_KEY, release: async () => {} }
}

/** A server for tests. */
export class Latchkey {
  /** Address of the server, such as `http://127.0.0.1:41234`. */
  readonly url: string
  /** API key of the default sandbox, which all tests share. Use a workspace of {@link createWorkspace} instead where possible. */
  readonly apiKey: string
  readonly #attached: Attached
  readonly #client: Client
  readonly #target: Target

  /** @internal */
  constructor(attached: Attached, client: Client, target: Target) {
    this.url = attached.url
    this.apiKey = attached.apiKey
    this.#attached = attached
    this.#client = client
    this.#target = target
  }

  /**
   * Creates a test workspace. By default, it has one lock and a clock that is held at 2026-01-01T00:00:00Z, and is deleted after
   * an hour of real time if the test does not delete it.
   *
   * @throws {@link LatchkeyError} if the server rejects the parameters.
   */
  async createWorkspace(parameters: WorkspaceParameters = {}): Promise<Workspace> {
    const created = await post(this.#target, 'workspaces/create', { ...DEFAULTS, ...parameters })
    return new Workspace({ ...this.#target, credential: created.api_key }, created, this.#client)
  }

  /** Ends the use of the server. A server at a given address keeps running. The end of the process has the same effect. */
  async stop(): Promise<void> {
    await this.#attached.release()
  }

  /** The same as {@link stop}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

