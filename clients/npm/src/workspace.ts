import { type ControlParameters, type ControlPath, type ControlResponse, post, send, type Target } from './control.js'
import { toIsoDuration } from './duration.js'
import { LatchkeyError } from './errors.js'
import type { Client, Device, SeamEvent, SeamHttp } from './seam.js'

/** How {@link Workspace.advance} moves the clock: the parameters of `/_emulator/clock/advance`. */
export type Move = ControlParameters<'clock/advance'>

/** Filter for {@link Workspace.events}: the parameters of `/events/list`. */
export interface EventFilter {
  access_code_id?: string
  access_code_ids?: string[]
  connected_account_id?: string
  device_id?: string
  device_ids?: string[]
  event_ids?: string[]
  event_type?: SeamEvent['event_type']
  event_types?: SeamEvent['event_type'][]
  /** Returns only events after this instant, in ISO 8601. Default: all. */
  since?: string
  /** Maximum number of events. Default: 500. */
  limit?: number
}

/** A test workspace with devices, access codes, events, keys and a clock of its own. */
export class Workspace {
  readonly workspaceId: string
  /** API key of the workspace, for the software under test. */
  readonly apiKey: string
  /** Address of the server, for the software under test: the endpoint of Seam's clients. */
  readonly url: string
  /** The devices with which the workspace was created, as they were then. */
  readonly devices: Device[]
  readonly #target: Target
  readonly #seam: SeamHttp | LatchkeyError

  /** @internal */
  constructor(target: Target, created: ControlResponse<'workspaces/create'>, client: Client) {
    this.workspaceId = created.workspace.workspace_id
    this.apiKey = created.api_key
    this.url = target.url
    this.devices = created.devices as unknown as Device[]
    this.#target = target
    this.#seam = client instanceof LatchkeyError ? client : client.SeamHttp.fromApiKey(this.apiKey, { endpoint: this.url })
  }

  /**
   * The official client (`@seamapi/http`), with the address of the server and the key of the workspace.
   *
   * @throws {@link LatchkeyError} if that package is not installed.
   */
  get seam(): SeamHttp {
    if (this.#seam instanceof LatchkeyError) throw this.#seam
    return this.#seam
  }

  /**
   * Moves the held clock: by a duration (`'72h'`, `'1d12h'`, or ISO 8601 such as `'PT72H'`), or as the parameters say:
   * `{ to: instant }`, `{ until: 'next' }`, `{ until: 'quiet' }`. When it returns, everything that was due has happened; with
   * `wait_for_webhooks`, each event was also sent once to each webhook.
   *
   * @throws {@link LatchkeyError} if the clock is not held, or if it would move backwards or by more than 400 days.
   */
  async advance(move: string | Move): Promise<ControlResponse<'clock/advance'>> {
    const { by, ...others } = typeof move === 'string' ? { by: move } : move
    return await this.emulator('clock/advance', by === undefined ? others : { ...others, by: toIsoDuration(by) })
  }

  /** Returns the current time in the workspace, in ISO 8601. */
  async now(): Promise<string> {
    return ((await send(this.#target, '/_emulator/clock')) as { now: string }).now
  }

  /** Stops the clock at its current time, or moves it to the later instant `at` and stops it there. */
  async hold(at?: string): Promise<ControlResponse<'clock/hold'>> {
    return await this.emulator('clock/hold', at === undefined ? {} : { at })
  }

  /** Runs the clock. `rate` is the number of seconds in the workspace per second of real time. Default: 1. */
  async run(parameters: ControlParameters<'clock/run'> = {}): Promise<ControlResponse<'clock/run'>> {
    return await this.emulator('clock/run', parameters)
  }

  /** Makes operations of locks fail, be slow or never end: `{ operation: 'set', outcome: { fail: {} }, times: 1 }`. */
  async fault(parameters: ControlParameters<'faults/create'>): Promise<ControlResponse<'faults/create'>['fault']> {
    return (await this.emulator('faults/create', parameters)).fault
  }

  /** Sets the outcome of the next requests to Seam's paths: `{ outcome: { status: 503 }, path: '/access_codes/*', times: 1 }`. */
  async httpFault(
    parameters: ControlParameters<'http_faults/create'>,
  ): Promise<ControlResponse<'http_faults/create'>['http_fault']> {
    return (await this.emulator('http_faults/create', parameters)).http_fault
  }

  /** Returns the events of the workspace, oldest first. */
  async events(filter: EventFilter = {}): Promise<SeamEvent[]> {
    const parameters = { since: '1970-01-01T00:00:00Z', ...filter }
    return ((await send(this.#target, '/events/list', parameters)) as { events: SeamEvent[] }).events
  }

  /** Returns the latest requests to the workspace with their responses, oldest first. Filters: `path`, `method`, `status`. */
  async requests(filter: ControlParameters<'requests'> = {}): Promise<ControlResponse<'requests'>['requests']> {
    return (await this.emulator('requests', filter)).requests
  }

  /** Changes a lock: `{ online: false }`, `{ battery_level: 0.1 }`, `{ removed: true }` and so on. Returns the lock. */
  async updateDevice(device_id: string, changes: Omit<ControlParameters<'devices/update'>, 'device_id'>): Promise<Device> {
    return (await this.emulator('devices/update', { ...changes, device_id })).device as unknown as Device
  }

  /** Enters a PIN on the keypad of a lock. `result` is `unlocked` or `denied`; `reason` is the reason for a denial. */
  async enterCode(device_id: string, code: string): Promise<ControlResponse<'locks/enter_code'>> {
    return await this.emulator('locks/enter_code', { device_id, code })
  }

  /** Returns the codes that a lock stores, by slot. */
  async lockMemory(device_id: string): Promise<ControlResponse<'locks/memory'>['codes']> {
    return (await this.emulator('locks/memory', { device_id })).codes
  }

  /** Stores everything in the workspace as it is now, and returns the id of the snapshot for {@link restore}. */
  async snapshot(): Promise<string> {
    return (await this.emulator('snapshots/create', {})).snapshot_id
  }

  /** Returns the workspace to the state of a snapshot, with its clock. */
  async restore(snapshot_id: string): Promise<void> {
    await this.emulator('snapshots/restore', { snapshot_id })
  }

  /** Returns the workspace to the state in which it was created, with its clock. Its keys and snapshots stay. */
  async reset(): Promise<void> {
    await this.emulator('workspaces/reset', {})
  }

  /** Deletes the workspace with everything in it, unless it is deleted already. */
  async delete(): Promise<void> {
    try {
      await this.emulator('workspaces/delete', {})
    } catch (error) {
      // The key of a deleted workspace is unknown.
      if (!(error instanceof LatchkeyError && error.status === 401)) throw error
    }
  }

  /** The same as {@link delete}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.delete()
  }

  /**
   * Sends a request to a path of the control plane, on this workspace: `emulator('programming/set', { programming: 'at_once' })`.
   *
   * @throws {@link LatchkeyError} with the message of the server if it rejects the request.
   */
  async emulator<Path extends ControlPath>(path: Path, parameters: ControlParameters<Path>): Promise<ControlResponse<Path>> {
    return await post(this.#target, path, parameters)
  }
}
