// node plot.mjs RESULTS.jsonl [RUN] >rates.svg: draws the rates of a run of run.sh, beside those of the fake and of
// pgbench.sh, if the file has them. Left: by connections, with an empty store. Right: by stored access codes, at 16
// connections. Both axes of rates are logarithmic. Default: the last run.
import { readFileSync } from "node:fs"

const [file, requestedRun] = process.argv.slice(2)
const lines = readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line))
const run = requestedRun ?? lines.filter((line) => line.target !== "pgbench").at(-1).run
const measured = lines.filter((line) => line.run === run || line.target === "pgbench")

const SCENARIOS = ["get", "list", "create", "create_multiple"]
/** What was measured: its name, its colour, and where its figures are beside their points. */
const TARGETS = [
  ["latchkey", "Latchkey", "#1d4ed8", { x: 7, y: -7, anchor: "start" }],
  ["fake", "Seam’s in-memory fake", "#b45309", { x: 7, y: 14, anchor: "start" }],
  ["pgbench", "pgbench, the same statements", "#4d7c0f", { x: -7, y: -5, anchor: "end" }],
]
const CONNECTIONS = 16

/** Size of a chart and its margins, in pixels. */
const [WIDTH, HEIGHT, LEFT, TOP, GAP] = [360, 150, 64, 70, 62]

/** Rates from the first to the last line of a chart. */
const [LEAST, MOST] = [100, 100_000]

/** The fake lists the access codes of all locks, Latchkey those of one: only with an empty store this is the same. */
const isComparable = (line) => line.target !== "fake" || line.scenario !== "list" || line.stored === 0

const median = (values) => [...values].sort((one, other) => one - other)[values.length >> 1]
const text = (x, y, content, attributes = "") => `<text x="${x}" y="${y}" ${attributes}>${content}</text>`
const y = (rate, top) => top + HEIGHT - (Math.log10(Math.max(rate, LEAST) / LEAST) / Math.log10(MOST / LEAST)) * HEIGHT

/** Median rate of each value of `field` among the lines that match. */
function rates(matching, field) {
  const values = [...new Set(measured.filter(matching).map((line) => line[field]))].sort((one, other) => one - other)
  return values.map((value) => [value, median(measured.filter((line) => matching(line) && line[field] === value).map((line) => line.rps))])
}

/** Draws a chart: the lines of all targets over the values of `field`. */
function chart(left, top, title, field, matching, unit) {
  const series = TARGETS.map(([target, , colour, place]) => [colour, place, rates((line) => line.target === target && matching(line), field)])
  const values = [...new Set(series.flatMap(([, , points]) => points.map(([value]) => value)))].sort((one, other) => one - other)
  const x = (value) => left + 24 + (values.indexOf(value) * (WIDTH - 70)) / Math.max(1, values.length - 1)
  const parts = [text(left, top - 10, title, 'font-weight="bold"')]
  for (let rate = LEAST; rate <= MOST; rate *= 10) {
    parts.push(`<path d="M${left} ${y(rate, top)}h${WIDTH}" stroke="#d3d8e0"/>`, text(left - 6, y(rate, top) + 4, rate.toLocaleString("en"), 'text-anchor="end" fill="#565c69"'))
  }
  for (const value of values) parts.push(text(x(value), top + HEIGHT + 16, value.toLocaleString("en"), 'text-anchor="middle" fill="#565c69"'))
  parts.push(text(left + WIDTH, top + HEIGHT + 30, unit, 'text-anchor="end" fill="#565c69"'))
  for (const [colour, place, points] of series) {
    parts.push(`<polyline points="${points.map(([value, rate]) => `${x(value)},${y(rate, top)}`).join(" ")}" fill="none" stroke="${colour}" stroke-width="2"/>`)
    for (const [value, rate] of points) {
      parts.push(`<circle cx="${x(value)}" cy="${y(rate, top)}" r="4" fill="${colour}"/>`)
      parts.push(text(x(value) + place.x, y(rate, top) + place.y, Math.round(rate).toLocaleString("en"), `fill="${colour}" font-size="11" text-anchor="${place.anchor}"`))
    }
  }
  return parts.join("\n")
}

const width = 2 * (LEFT + WIDTH) + 40
const height = TOP + SCENARIOS.length * (HEIGHT + GAP)
const legend = TARGETS.filter(([target]) => measured.some((line) => line.target === target)).map(([, name, colour], index) =>
  `<rect x="${LEFT + index * 230}" y="30" width="14" height="14" fill="${colour}"/>${text(LEFT + 20 + index * 230, 42, name)}`)
const charts = SCENARIOS.flatMap((scenario, index) => {
  const top = TOP + 10 + index * (HEIGHT + GAP)
  return [
    chart(LEFT, top, scenario, "connections", (line) => line.scenario === scenario && line.stored === 0, "connections, empty store"),
    chart(2 * LEFT + WIDTH + 20, top, scenario, "stored", (line) => line.scenario === scenario && line.connections === CONNECTIONS && line.target !== "pgbench" && isComparable(line), `stored access codes, ${CONNECTIONS} connections`),
  ]
})
console.log(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="13" fill="#16181d">
<title>Requests per second</title>
<rect width="${width}" height="${height}" fill="#fff"/>
${text(LEFT, 20, "Requests per second (logarithmic)", 'font-weight="bold" font-size="15"')}
${legend.join("\n")}
${charts.join("\n")}
</svg>`)
