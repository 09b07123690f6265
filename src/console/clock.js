// The clock of the workspace: what time it is there, and buttons to hold it, run it and move it.

import { attempt, button, form, field, h } from "./dom.js"
import { instant, plural } from "./format.js"

const MODES = { live: "live: the time of this machine", running: "running", held: "held: stopped until it is moved" }

/** Bar with the clock. `update` shows the current time. */
export function clockBar(session) {
  const time = h("time", { class: "now" })
  const mode = h("span", { class: "mode" })
  const held = h("span", { class: "actions" })
  const show = () => {
    const text = instant(Math.floor(session.now() / 1000) * 1000)
    if (time.textContent !== text) time.textContent = text
    const { mode: name, rate } = session.clock
    const label = name === "running" ? `running, ${rate} s per second` : MODES[name]
    if (mode.textContent === label) return
    mode.textContent = label
    const hadFocus = held.contains(document.activeElement)
    held.replaceChildren(...(name === "held" ? moves(session) : [button("Hold the clock", () => hold(session))]))
    if (hadFocus) held.firstChild.focus()
  }
  const more = h("details", {}, h("summary", {}, "More"), h("div", { class: "row" }, moveTo(session), runAt(session)))
  const element = h("section", { class: "clock", "aria-label": "Clock" }, h("span", {}, time, " ", mode), held, more)
  const timer = setInterval(show, 250)
  session.addEventListener("clock", show)
  show()
  return { element, stop: () => clearInterval(timer) }
}

async function hold(session, at) {
  session.setClock(await session.control("clock/hold", at ? { at } : {}))
  return `The clock is held at ${instant(session.clock.now)}.`
}

/** Moves a held clock, and returns a text about what happened on the way. */
export async function advance(session, parameters) {
  const { now, transitions, events } = await session.control("clock/advance", parameters)
  session.setClock({ mode: "held", now, rate: null })
  return `The clock is at ${instant(now)}: ${plural(transitions, "step")}, ${plural(events, "event")}.`
}

function moves(session) {
  const move = (label, parameters, title) => button(label, () => advance(session, parameters), { title })
  return [
    move("Next step", { until: "next" }, "Move to the next instant at which something is due"),
    move("+1 hour", { by: "PT1H" }),
    move("+1 day", { by: "P1D" }),
    move("Until quiet", { until: "quiet" }, "Move on until no more work is scheduled"),
  ]
}

const INSTANT = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?))?(?: ?UTC|Z)?$/

/** Reads an instant in UTC, as people type it: 2026-03-02 12:00. */
export function fromField(text) {
  const [, day, time = "00:00"] = text.trim().match(INSTANT) ?? []
  const date = new Date(`${day}T${time}Z`)
  // A day that does not exist, such as 30 February, becomes another one.
  if (Number.isNaN(date.getTime()) || date.toISOString().slice(0, 10) !== day) {
    throw new Error(`“${text}” is not an instant. Write it like 2026-03-02 12:00 (UTC).`)
  }
  return date.toISOString()
}

function moveTo(session) {
  return form("Move the clock", "Move to", async ({ to }) => {
    if (!to) throw new Error("Enter an instant, like 2026-03-02 12:00 (UTC).")
    const at = fromField(to)
    return session.isHeld ? advance(session, { to: at }) : hold(session, at)
  }, field("To an instant (UTC)", "to", { placeholder: "2026-03-02 12:00" }))
}

function runAt(session) {
  return form("Run the clock", "Run", async ({ rate }) => {
    session.setClock(await session.control("clock/run", { rate: Number(rate ?? 1) }))
    return `The clock runs ${rate ?? 1} s per second.`
  }, field("Seconds per second", "rate", { type: "number", min: "0.001", step: "any", value: "60" }))
}

/** Button that moves the clock to the next step of something. */
export function advanceTo(session, at) {
  return button("Move the clock there", async () => {
    if (!session.isHeld) await attempt(() => hold(session))
    return advance(session, { to: at })
  })
}
