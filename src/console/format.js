// Texts for instants, durations and states.

/** Instant as people read it: 2026-03-02 12:00:00 UTC, with milliseconds only if there are some. */
export function instant(text) {
  if (!text) return "–"
  return `${new Date(text).toISOString().replace("T", " ").replace(/(\.000)?Z$/, "")} UTC`
}

/** Instant for narrow places: without seconds and zone. */
export function shortInstant(text) {
  return text ? new Date(text).toISOString().slice(0, 16).replace("T", " ") : "–"
}

/** Duration of some milliseconds, in its two largest units. */
export function duration(milliseconds) {
  const seconds = Math.round(Math.abs(milliseconds) / 1000)
  if (seconds === 0) return "less than a second"
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]
  let rest = seconds
  const found = []
  for (const [unit, size] of parts) {
    const count = Math.floor(rest / size)
    if (count > 0) found.push(`${count} ${unit}`)
    rest -= count * size
  }
  return found.slice(0, 2).join(" ")
}

/** Instant relative to now: "in 2 d 3 h", "5 min ago". */
export function relative(text, now) {
  const difference = Date.parse(text) - now
  if (difference <= 0 && difference > -1000) return "now"
  return difference > 0 ? `in ${duration(difference)}` : `${duration(difference)} ago`
}

export function timeFrame(startsAt, endsAt) {
  if (!startsAt && !endsAt) return "ongoing"
  return `${shortInstant(startsAt)} – ${shortInstant(endsAt)}`
}

export function plural(count, one, several = `${one}s`) {
  return `${count} ${count === 1 ? one : several}`
}

/** Name of a type of device, brand or step as people read it: "august_lock" is "August lock". */
export function words(name) {
  const text = name.replaceAll("_", " ")
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** Next step of an access code, as a clause: "the lock is programmed". */
export const STEPS = {
  expire: "the time frame ends",
  start: "the time frame starts",
  programming_due: "programming is due",
  assign_code: "the provider assigns the PIN",
  begin_operation: "the lock begins the operation",
  finish_operation: "the lock finishes the operation",
  report_delay: "the delay is reported",
  report_late_issuance: "the late issuance is reported",
}

/** Argument of a shell command. */
export function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`
}
