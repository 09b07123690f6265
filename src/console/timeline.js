// Access codes on a time line: for each lock, what was asked for, what the lock stores, and what happens next.

import { attempt, button, field, h, setText, svg } from "./dom.js"
import { instant, plural, relative, shortInstant, STEPS, timeFrame } from "./format.js"
import { listDevices, nameOf } from "./locks.js"

const HOUR = 3_600_000
const DAY = 24 * HOUR
const SPANS = [["day", "one day", DAY], ["week", "one week", 7 * DAY], ["month", "one month", 31 * DAY], ["year", "one year", 366 * DAY]]

/** Steps of the axis. */
const TICKS = [HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 31 * DAY, 92 * DAY, 183 * DAY]

/** Heights in pixels. */
const LANE = 24
const BAR = 18

/** Width of a label of the axis with some space, in pixels. */
const LABEL = 92

/** Number of locks on a page, and maximum number of access codes. */
const LOCKS = 12
const CODES = 1000

/** Part of the visible time that lies before now, at first. */
const BEFORE_NOW = 0.2

export async function timeline({ session, signal, query }) {
  const span = Object.fromEntries(SPANS.map(([name, , length]) => [name, length]))
  const state = {
    length: span[query.get("length")] ? query.get("length") : "week", from: Date.parse(query.get("from")) || undefined,
    page: 0, lock: query.get("lock") ?? "",
  }
  const { devices: known } = await listDevices(session)
  const chart = h("div", { class: "timeline" })
  const tip = h("div", { class: "tip", "aria-hidden": "true", hidden: true })
  const note = h("span", { role: "status" })
  const period = h("span", {})
  let drawn = ""
  const lengthOf = () => span[state.length]
  const from = () => state.from ?? session.now() - lengthOf() * BEFORE_NOW
  const refresh = session.onChange(async () => {
    const { devices, hasMore } = await listDevices(session, state.lock ? { device_ids: [state.lock] } : {})
    state.last = Math.max(0, Math.ceil(devices.length / LOCKS) - 1)
    const shown = devices.slice(state.page * LOCKS, (state.page + 1) * LOCKS)
    const range = { from: from(), to: from() + lengthOf() }
    const found = shown.length === 0 ? { access_codes: [], has_more: false } : await session.inspect("access_codes/list", {
      device_ids: shown.map((one) => one.device_id), limit: CODES,
      from: new Date(range.from).toISOString(), to: new Date(range.to).toISOString(),
    })
    const codes = found.access_codes.filter((code) => !code.is_backup)
    setText(note, `${plural(codes.length, "access code")}${found.has_more ? `, the newest ${CODES}` : ""}${hasMore ? "; there are more locks" : ""}`)
    setText(period, `${shortInstant(range.from)} to ${shortInstant(range.to)} UTC`)
    // A moving clock alone moves only the line of now; the range follows when it has moved by a hundredth.
    const content = JSON.stringify([codes, shown, Math.round(range.from / (lengthOf() / 100)), state.length, chart.clientWidth])
    if (content !== drawn) {
      drawn = content
      draw(session, chart, shown, codes, range)
    }
    moveNow(chart, session.now())
  }, signal)
  const change = (changes) => {
    Object.assign(state, changes)
    remember(session, state)
    return attempt(refresh.run)
  }
  const controls = controlsOf(state, { devices: known, from, change, lengthOf })
  addEventListener("resize", refresh, { signal })
  listen(chart, tip, (part) => change({ from: from() - part * lengthOf() }))
  // The chart must be on the page, because its width decides.
  queueMicrotask(() => attempt(refresh.run))
  return [h("h1", {}, "Time line"), controls, h("p", { class: "hint" }, note, ", ", period), chart, tip, legend()]
}

/** Writes lock, length and start into the address, so that it can be shared. */
function remember(session, { lock, length, from }) {
  const query = new URLSearchParams({ ...(lock && { lock }), length, ...(from !== undefined && { from: new Date(from).toISOString() }) })
  history.replaceState(null, "", `#/w/${session.id}/timeline?${query}`)
}

function controlsOf(state, { devices, from, change, lengthOf }) {
  const lock = field("Lock", "lock", { value: state.lock }, [["", `all, ${LOCKS} on a page`], ...devices.map((one) => [one.device_id, nameOf(one)]),
    ...(state.lock && !devices.some((one) => one.device_id === state.lock) ? [[state.lock, state.lock]] : [])])
  lock.addEventListener("change", (event) => change({ lock: event.target.value, page: 0 }))
  const length = field("Length", "length", { value: state.length }, SPANS.map(([name, label]) => [name, label]))
  length.addEventListener("change", (event) => change({ length: event.target.value, from: undefined }))
  const move = (part) => change({ from: from() + lengthOf() * part })
  return h("div", { class: "row" }, lock, length, h("p", { class: "actions" },
    button("Earlier", () => move(-0.5)), button("Now", () => change({ from: undefined })), button("Later", () => move(0.5)),
    devices.length > LOCKS && [button("Previous locks", () => change({ page: Math.max(0, state.page - 1) })),
      button("Next locks", () => change({ page: Math.min(state.last, state.page + 1) }))]))
}

/** Samples of the legend: the text, the status, the shape. */
const box = (className) => () => svg("rect", { class: className, x: 1, y: 1, width: 26, height: 16, rx: 3 })
const SAMPLES = [
  ["asked for", "unset", box("asked")],
  ["on the lock", "unset", box("held")],
  ["set: opens the door", "set", box("usable")],
  ["setting", "setting", box("usable")],
  ["being removed", "removing", box("asked")],
  ["with an error", "error", box("asked")],
  ["programming is due, until the start", "unset", () => svg("path", { class: "preload", d: "M4 3v12M4 9h22" })],
  ["next step", "unset", () => svg("circle", { class: "next", cx: 14, cy: 9, r: 5 })],
  ["now", "unset", () => svg("line", { class: "now-line", x1: 14, x2: 14, y1: 0, y2: 18 })],
]

function legend() {
  const sample = ([text, status, shape]) => h("li", {},
    svg("svg", { width: 28, height: 18, "aria-hidden": "true", class: "sample" }, svg("g", { class: "bar", "data-status": status }, shape())), text)
  return h("ul", { class: "legend", "aria-label": "Legend" }, SAMPLES.map(sample))
}

/** Draws a section for each lock. */
function draw(session, chart, devices, codes, range) {
  const width = Math.max(280, chart.clientWidth)
  const x = (at) => ((at - range.from) / (range.to - range.from)) * width
  const byLock = new Map(devices.map((device) => [device.device_id, []]))
  for (const code of codes) byLock.get(code.device_id)?.push(code)
  const focused = document.activeElement?.closest?.(".bar")?.getAttribute("href")
  let isFirst = true
  const sections = devices.map((device) => {
    const bars = pack(byLock.get(device.device_id).map((code) => boundsOf(code, session.now())))
    const lanes = bars.reduce((count, bar) => Math.max(count, bar.lane + 1), 1)
    const height = lanes * LANE + 6
    const items = bars.map((bar) => {
      const item = barOf(session, bar, x, width, isFirst)
      isFirst = false
      return item
    })
    return h("section", { "aria-label": nameOf(device) },
      h("h2", {}, h("a", { href: `#/w/${session.id}/locks/${device.device_id}` }, nameOf(device)), " ",
        !device.properties.online && h("span", { class: "badge", "data-status": "error" }, "offline"), h("span", { class: "hint" }, ` ${plural(bars.length, "access code")}`)),
      svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `Access codes of ${nameOf(device)}` },
        svg("g", { class: "content" }, grid(range, x, width, height), items, svg("line", { class: "now-line", y1: 0, y2: height, "data-from": range.from, "data-scale": width / (range.to - range.from) }))))
  })
  chart.replaceChildren(axis(range, x, width), ...sections)
  if (focused) chart.querySelector(`[href="${focused}"]`)?.focus({ preventScroll: true })
}

/** Returns the periods of a code, in milliseconds. */
function boundsOf(code, now) {
  const at = (text, otherwise) => (text ? Date.parse(text) : otherwise)
  const start = at(code.starts_at, at(code.created_at))
  const end = at(code.ends_at, Infinity)
  const programming = Math.min(at(code.programming_due_at, start), start)
  const heldFrom = code.held ? at(code.first_held_at, start) : undefined
  const heldTo = code.held ? Math.max(at(code.held.ends_at, Infinity), now) : undefined
  return { code, start, end, programming, heldFrom, heldTo, next: at(code.next_step?.due_at), left: Math.min(programming, heldFrom ?? programming), right: Math.max(end, heldTo ?? end) }
}

/** Distributes bars among lanes, so that no two overlap. */
function pack(bars) {
  const ends = []
  bars.sort((one, other) => one.left - other.left || one.right - other.right)
  for (const bar of bars) {
    const free = ends.findIndex((end) => end < bar.left)
    bar.lane = free < 0 ? ends.length : free
    ends[bar.lane] = bar.right
  }
  return bars
}

function statusOf(code) {
  return code.errors.length > 0 && code.status !== "set" ? "error" : code.status
}

function barOf(session, bar, x, width, isFirst) {
  const { code } = bar
  const y = bar.lane * LANE + 4
  const left = (at) => Math.max(-20, Math.min(width + 20, x(at)))
  const rect = (className, from, to, inset = 0) => svg("rect", {
    class: className, x: left(from), width: Math.max(2, left(to) - left(from)), y: y + inset, height: BAR - 2 * inset, rx: 3,
  })
  const isUsable = code.status === "set" || code.status === "setting"
  const label = `${code.name ?? code.code ?? "?"}${code.is_managed ? "" : " (unmanaged)"}`
  const textAt = Math.max(4, left(bar.start) + 5)
  const text = fitting(label, Math.floor((left(bar.end) - textAt) / 7))
  const next = code.next_step ? `. Next: ${STEPS[code.next_step.step]} ${relative(code.next_step.due_at, session.now())}` : ""
  const element = svg("a", {
    class: "bar", href: `#/w/${session.id}/codes/${code.access_code_id}`, "data-status": statusOf(code), tabindex: isFirst ? "0" : "-1",
    "aria-label": `${label}: ${[code.status, ...code.errors.map((error) => error.error_code)].join(", ")}, ${timeFrame(code.starts_at, code.ends_at)}${next}`,
  },
  bar.programming < bar.start && svg("path", { class: "preload", d: `M${left(bar.programming)} ${y + 2}v${BAR - 4}M${left(bar.programming)} ${y + BAR / 2}H${left(bar.start)}` }),
  bar.heldFrom !== undefined && rect("held", bar.heldFrom, bar.heldTo, 5),
  rect("asked", bar.start, bar.end),
  isUsable && rect("usable", Math.max(bar.start, bar.heldFrom ?? bar.start), bar.end, 2),
  text && svg("text", { x: textAt, y: y + 13 }, text),
  bar.end < Infinity && svg("line", { class: "expiry", x1: left(bar.end), x2: left(bar.end), y1: y - 2, y2: y + BAR + 2 }),
  bar.next !== undefined && svg("circle", { class: "next", cx: left(bar.next), cy: y + BAR / 2, r: 4 }))
  element.code = code
  return element
}

/** Returns as many words of a text as fit in this number of characters. */
function fitting(text, length) {
  if (text.length <= length) return text
  return text.slice(0, text.lastIndexOf(" ", Math.max(0, length)) + 1).trim()
}

function ticks(range, width) {
  const most = Math.max(2, Math.floor(width / LABEL))
  const step = TICKS.find((size) => (range.to - range.from) / size <= most) ?? TICKS.at(-1)
  const found = []
  for (let at = Math.ceil(range.from / step) * step; at < range.to; at += step) found.push(at)
  return { step, found }
}

function grid(range, x, width, height) {
  return svg("path", { class: "grid", d: ticks(range, width).found.map((at) => `M${x(at)} 0V${height}`).join("") })
}

function axis(range, x, width) {
  const { step, found } = ticks(range, width)
  const text = (at) => (step < DAY ? shortInstant(at).slice(5) : shortInstant(at).slice(0, 10))
  return svg("svg", { class: "axis", width, height: 22, "aria-hidden": "true" }, svg("g", { class: "content" },
    found.map((at) => svg("text", { x: x(at) + 3, y: 15 }, text(at))), grid(range, x, width, 22)))
}

function moveNow(chart, now) {
  for (const line of chart.querySelectorAll(".now-line")) {
    const at = (now - Number(line.dataset.from)) * Number(line.dataset.scale)
    line.setAttribute("x1", at)
    line.setAttribute("x2", at)
  }
}

/** Arrow keys move among the bars, the pointer shows their facts and moves the time: `move` gets a part of the width. */
function listen(chart, tip, move) {
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key]
    const bar = event.target.closest(".bar")
    if (event.key === "Escape") tip.hidden = true
    if (!step || !bar) return
    event.preventDefault()
    const bars = [...chart.querySelectorAll(".bar")]
    const next = bars[bars.indexOf(bar) + step]
    if (!next) return
    bar.setAttribute("tabindex", "-1")
    next.setAttribute("tabindex", "0")
    next.focus()
  })
  const show = (event) => {
    const bar = event.target.closest?.(".bar")
    tip.hidden = !bar?.code
    if (!bar?.code) return
    tip.replaceChildren(...facts(bar.code))
    const box = bar.getBoundingClientRect()
    tip.style.left = `${Math.max(8, Math.min(event.clientX ?? box.left, innerWidth - 330))}px`
    tip.style.top = `${box.bottom + 120 > innerHeight ? box.top - tip.offsetHeight - 6 : box.bottom + 6}px`
  }
  chart.addEventListener("pointerover", show)
  chart.addEventListener("focusin", (event) => event.target.matches(":focus-visible") && show(event))
  chart.addEventListener("pointerleave", () => { tip.hidden = true })
  chart.addEventListener("focusout", () => { tip.hidden = true })
  drag(chart, (pixels) => move(pixels / chart.clientWidth))
}

function drag(chart, end) {
  chart.addEventListener("pointerdown", (down) => {
    if (down.button !== 0 || down.pointerType === "touch") return
    const move = (event) => {
      for (const group of chart.querySelectorAll(".content")) group.setAttribute("transform", `translate(${event.clientX - down.clientX} 0)`)
    }
    const pointer = new AbortController()
    const { signal } = pointer
    const stop = () => {
      pointer.abort()
      for (const group of chart.querySelectorAll(".content")) group.removeAttribute("transform")
    }
    const up = (event) => {
      const pixels = event.clientX - down.clientX
      if (Math.abs(pixels) < 4) return stop()
      // The click that follows, if one does, is not meant for the bar.
      const ignored = new AbortController()
      chart.addEventListener("click", (click) => click.preventDefault(), { capture: true, signal: ignored.signal })
      setTimeout(async () => {
        ignored.abort()
        await end(pixels)
        stop()
      })
    }
    addEventListener("pointermove", move, { signal })
    addEventListener("pointerup", up, { once: true, signal })
    addEventListener("pointercancel", stop, { once: true, signal })
  })
  chart.addEventListener("dragstart", (event) => event.preventDefault())
}

function facts(code) {
  const lines = [
    [h("strong", {}, code.name ?? "(no name)"), ` ${code.code ?? ""}`],
    [`${code.status}${code.errors.length > 0 ? `: ${code.errors.map((error) => error.error_code).join(", ")}` : ""}`],
    [timeFrame(code.starts_at, code.ends_at)],
    code.held ? ["on the lock"] : ["not on the lock"],
    ...(code.pending_mutations ?? []).map((one) => [one.mutation_code]),
    code.next_step && [`next: ${STEPS[code.next_step.step]}, ${instant(code.next_step.due_at)}`],
  ]
  return lines.filter(Boolean).map((line) => h("p", {}, line))
}
