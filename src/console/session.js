// What the page knows of the open workspace: its clock, and the latest requests and events, which arrive by the stream.

import { clockOf, control, follow, read, seam } from "./api.js"

/** Number of requests and events that the page keeps. */
export const KEPT = 400

/** Number of events that are read at first. */
const FIRST_EVENTS = 200

/** Maximum number of events in a list, as at Seam. */
const MAX_EVENTS = 10_000

/** Instant before all events. */
const LONG_AGO = "2000-01-01T00:00:00.000Z"

/** Shortest time between two refreshes of the same content, in milliseconds. */
const MIN_INTERVAL = 500

/** A refresh takes at most this part of the time, so that a busy server is not slowed down by the page. */
const MAX_SHARE = 1 / 10

/**
 * Returns a function that runs `refresh` soon: never twice at once, and a slow refresh less often. `fail` gets its error.
 * Its `run` refreshes without this delay, for an action of the user, and passes on the error of the first refresh.
 */
export function throttled(refresh, fail) {
  let running = false
  let wanted
  let timer
  let free = 0
  let isFirst = true
  const start = async (isAwaited) => {
    clearTimeout(timer)
    timer = undefined
    running = true
    wanted = undefined
    const begun = performance.now()
    try {
      await refresh()
    } catch (error) {
      if (isFirst && isAwaited) throw error
      fail(error)
    } finally {
      isFirst = false
      running = false
      free = performance.now() + Math.max(MIN_INTERVAL, (performance.now() - begun) / MAX_SHARE)
      if (wanted === "now") start(false)
      else if (wanted === "soon") soon()
    }
  }
  const soon = (event) => {
    if (event?.detail?.isAction) run()
    else if (running) wanted ??= "soon"
    else timer ??= setTimeout(() => start(false), Math.max(0, free - performance.now()))
  }
  const run = async () => {
    if (running) wanted = "now"
    else await start(true)
  }
  soon.run = run
  return soon
}

/**
 * Returns requests and events in one order. Their instants cannot be compared, because the clock of the workspace is not
 * that of the machine. An event follows the request that caused it, and all earlier events.
 */
function merged(requests, events) {
  const indexes = new Map(requests.flatMap((request, index) => request.events.map((event) => [event.event_id, index])))
  const after = [[], ...requests.map(() => [])]
  let place = 0
  for (const event of events) {
    place = Math.max(place, (indexes.get(event.event_id) ?? -1) + 1)
    after[place].push({ kind: "event", data: event })
  }
  return after.flatMap((found, index) => (index === 0 ? found : [{ kind: "request", data: requests[index - 1] }, ...found]))
}

const idOf = (kind, data) => (kind === "request" ? data.request_id : data.event_id)

export class Session extends EventTarget {
  constructor(workspace) {
    super()
    this.workspace = workspace
    this.id = workspace.workspace_id
    this.clock = workspace.clock
    this.clockReadAt = performance.now()
    /** Requests and events, the newest first: `{ number, kind, id, data }`. */
    this.entries = []
    this.missed = 0
    this.isOpen = false
    this.number = 0
    this.end = new AbortController()
    this.changed = throttled(() => this.refresh(false), (error) => this.fail(error))
  }

  /** Reads the latest requests and events, and follows those to come while the page is visible. */
  async start() {
    const [{ requests, cursor }, events] = await Promise.all([control("requests", { workspace_id: this.id, limit: FIRST_EVENTS }), this.latestEvents()])
    if (this.end.signal.aborted) return
    this.cursor = cursor
    this.eventsSince = events.at(-1)?.created_at ?? LONG_AGO
    for (const { kind, data } of merged(requests, events)) this.take(kind, data)
    const { signal } = this.end
    // A browser has few connections to a server. Pages that nobody sees must not use them up.
    document.addEventListener("visibilitychange", () => this.followIfVisible(), { signal })
    this.followIfVisible()
    // The clock of another client may move without an event.
    const timer = setInterval(() => document.visibilityState === "visible" && this.changed(), 3000)
    signal.addEventListener("abort", () => clearInterval(timer))
  }

  /** Returns the latest events. Lists begin with the oldest one, so those of the last day are tried first. */
  async latestEvents() {
    const yesterday = new Date(Date.parse(this.clock.now) - 86_400_000).toISOString()
    for (const since of [yesterday, LONG_AGO]) {
      const { events } = await read(this.workspace, "/events/list", { since, limit: MAX_EVENTS })
      if (events.length >= FIRST_EVENTS || since === LONG_AGO) return events.slice(-FIRST_EVENTS)
    }
    return []
  }

  stop() {
    this.end.abort()
    this.stream?.abort()
  }

  followIfVisible() {
    if (document.visibilityState === "hidden") {
      this.stream?.abort()
      this.stream = undefined
    } else if (!this.stream) {
      this.stream = new AbortController()
      const take = (kind, data, cursor) => {
        this.cursor = cursor ?? this.cursor
        this.take(kind, data)
      }
      follow(this.id, this.cursor, this.stream.signal, take, (isOpen) => this.setOpen(isOpen))
    }
  }

  /** The events of the time without a stream are read when it is open again. */
  async setOpen(isOpen) {
    this.isOpen = isOpen
    this.dispatchEvent(new Event("connection"))
    if (!isOpen) return
    this.changed()
    try {
      // Several events can have the same instant.
      const since = new Date(Date.parse(this.eventsSince) - 1).toISOString()
      const { events } = await read(this.workspace, "/events/list", { since, limit: MAX_EVENTS })
      for (const event of events.slice(-FIRST_EVENTS)) this.take("event", event)
    } catch (error) {
      this.fail(error)
    }
  }

  take(kind, data) {
    if (kind === "missed") {
      this.missed += data.missed
    } else {
      const id = idOf(kind, data)
      if (this.entries.some((entry) => entry.id === id && entry.kind === kind)) return
      if (kind === "event" && data.created_at > this.eventsSince) this.eventsSince = data.created_at
      this.number += 1
      this.entries.unshift({ number: this.number, kind, id, data })
      if (this.entries.length > KEPT) this.entries.length = KEPT
    }
    this.dispatchEvent(new Event("entries"))
    this.changed()
  }

  /**
   * Returns the requests and events with this id of an access code, a device or an access grant that the server has, the
   * newest first.
   */
  async find(id) {
    const [{ requests }, ...lists] = await Promise.all([
      control("requests", { workspace_id: this.id, limit: 1000 }),
      ...["access_code_id", "device_id", "access_grant_id"].map((name) => read(this.workspace, "/events/list", { [name]: id, since: LONG_AGO, limit: 1000 })),
    ])
    const found = requests.filter((request) => JSON.stringify(request).includes(id))
    const all = merged(found, lists.flatMap((list) => list.events)).reverse()
    return all.map(({ kind, data }) => ({ number: idOf(kind, data), kind, id: idOf(kind, data), data }))
  }

  setClock({ mode, now, rate }) {
    this.clock = { mode, now, rate }
    this.clockReadAt = performance.now()
    this.dispatchEvent(new Event("clock"))
  }

  /** Returns the current instant in the workspace, in milliseconds. */
  now() {
    const rate = this.isHeld ? 0 : (this.clock.rate ?? 1)
    return Date.parse(this.clock.now) + (performance.now() - this.clockReadAt) * rate
  }

  get isHeld() {
    return this.clock.mode === "held"
  }

  /** Reports an error that is not the answer to an action of the user. */
  fail(error) {
    this.dispatchEvent(new CustomEvent("failure", { detail: error }))
  }

  /** Reads the clock, and lets the view read its content again: at once after an action of the user. */
  async refresh(isAction) {
    this.setClock(await clockOf(this.id))
    this.dispatchEvent(new CustomEvent("change", { detail: { isAction } }))
  }

  /** Returns a refresh of a view. It runs whenever something has changed, until `signal` is aborted. */
  onChange(refresh, signal) {
    const soon = throttled(async () => {
      if (!signal.aborted) await refresh()
    }, (error) => signal.aborted || this.fail(error))
    this.addEventListener("change", soon, { signal })
    return soon
  }

  /** Action of the user with the control plane. */
  async control(path, parameters = {}) {
    const answer = await control(path, { ...parameters, workspace_id: this.id })
    this.refresh(true).catch((error) => this.fail(error))
    return answer
  }

  /** Action of the user with Seam's API, as an application does it. */
  async seam(path, parameters = {}) {
    const answer = await seam(this.workspace, path, parameters)
    this.refresh(true).catch((error) => this.fail(error))
    return answer
  }

  /** Reads from the control plane, without an effect. */
  inspect(path, parameters = {}) {
    return control(path, { ...parameters, workspace_id: this.id })
  }

  read(path, parameters = {}) {
    return read(this.workspace, path, parameters)
  }
}
