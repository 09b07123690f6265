// What the page knows of the open workspace: its clock, and the latest requests and events, which arrive by the stream.

import { clockOf, control, follow, read, seam } from "./api.js"

/** Number of requests and events that the page keeps. */
const KEPT = 400

/** Shortest time between two refreshes of the same content, in milliseconds. */
const MIN_INTERVAL = 500

/** A refresh takes at most this part of the time, so that a busy server is not slowed down by the page. */
const MAX_SHARE = 1 / 10

/**
 * Returns a function that runs `refresh` soon, and not too often: never twice at once, and a slow refresh less often.
 * Its `run` refreshes at once, and so does an event that follows an action of the user.
 */
export function throttled(refresh) {
  let running = false
  let wanted = false
  let timer
  let free = 0
  const run = async () => {
    clearTimeout(timer)
    timer = undefined
    if (running) {
      wanted = true
      return
    }
    running = true
    wanted = false
    const begun = performance.now()
    try {
      await refresh()
    } catch (error) {
      if (error.status !== 0) console.warn(error.message)
    }
    const took = performance.now() - begun
    free = performance.now() + Math.max(MIN_INTERVAL, took / MAX_SHARE)
    running = false
    if (wanted) soon()
  }
  const soon = (event) => {
    if (event?.detail?.isAction) run()
    else if (running) wanted = true
    else timer ??= setTimeout(run, Math.max(0, free - performance.now()))
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

export class Session extends EventTarget {
  constructor(workspace) {
    super()
    this.workspace = workspace
    this.id = workspace.workspace_id
    this.clock = workspace.clock
    this.clockReadAt = performance.now()
    /** Requests and events, the newest first: `{ number, kind, data }`. */
    this.entries = []
    this.missed = 0
    this.isOpen = false
    this.number = 0
    this.abort = new AbortController()
    this.changed = throttled(() => this.refresh(false))
  }

  /** Reads the latest requests and events, and follows those to come. */
  async start() {
    const take = (kind, data) => this.take(kind, data)
    const state = (isOpen) => {
      this.isOpen = isOpen
      this.dispatchEvent(new Event("connection"))
      if (isOpen) this.changed()
    }
    const since = new Date(Date.parse(this.clock.now) - 86_400_000).toISOString()
    const [{ requests }, { events }] = await Promise.all([
      control("requests", { workspace_id: this.id, limit: 200 }),
      read(this.workspace, "/events/list", { since, limit: 1000 }),
    ])
    for (const { kind, data } of merged(requests, events.slice(-200))) this.take(kind, data)
    follow(this.id, this.abort.signal, take, state)
    // The clock of another client may move without an event.
    this.timer = setInterval(() => {
      if (document.visibilityState === "visible") this.changed()
    }, 3000)
  }

  stop() {
    this.abort.abort()
    clearInterval(this.timer)
  }

  take(kind, data) {
    if (kind === "missed") {
      this.missed += data.missed
    } else {
      const id = kind === "request" ? data.request_id : data.event_id
      const isKnown = this.entries.some((entry) => entry.id === id && entry.kind === kind)
      if (isKnown) return
      this.number += 1
      this.entries.unshift({ number: this.number, kind, id, data })
      if (this.entries.length > KEPT) this.entries.length = KEPT
    }
    this.dispatchEvent(new Event("entries"))
    this.changed()
  }

  setClock({ mode, now, rate }) {
    this.clock = { mode, now, rate }
    this.clockReadAt = performance.now()
    this.dispatchEvent(new Event("clock"))
  }

  /** Returns the current instant in the workspace, in milliseconds. */
  now() {
    const rate = this.clock.mode === "held" ? 0 : (this.clock.rate ?? 1)
    return Date.parse(this.clock.now) + (performance.now() - this.clockReadAt) * rate
  }

  get isHeld() {
    return this.clock.mode === "held"
  }

  /** Reads the clock, and lets the view read its content again: at once after an action of the user. */
  async refresh(isAction) {
    this.setClock(await clockOf(this.id))
    this.dispatchEvent(new CustomEvent("change", { detail: { isAction } }))
  }

  /** Action of the user with the control plane. */
  async control(path, parameters = {}) {
    const answer = await control(path, { ...parameters, workspace_id: this.id })
    await this.refresh(true).catch(() => {})
    return answer
  }

  /** Action of the user with Seam's API, as an application does it. */
  async seam(path, parameters = {}) {
    const answer = await seam(this.workspace, path, parameters)
    await this.refresh(true).catch(() => {})
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
