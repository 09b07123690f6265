// node table.mjs RESULTS.jsonl [RUN]: prints the cells of a run as a Markdown table. Default: the last run.
import { readFileSync } from "node:fs"

const [file, requestedRun] = process.argv.slice(2)
const lines = readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line))
const run = requestedRun ?? lines.at(-1).run

const cells = new Map()
for (const line of lines.filter((line) => line.run === run)) {
  const key = `${line.stored} | ${line.scenario} | ${line.connections}`
  const cell = cells.get(key) ?? cells.set(key, { latchkey: [], fake: [] }).get(key)
  cell[line.target].push(line)
}
const withFake = [...cells.values()].some((cell) => cell.fake.length > 0)

const median = (rounds, field) => rounds.map((line) => line[field]).sort((a, b) => a - b)[rounds.length >> 1]
const failures = (rounds) => rounds.reduce((sum, line) => sum + line.non_2xx + line.socket_errors, 0)
const figures = (rounds) =>
  rounds.length === 0
    ? ["–", "–", "–", "–"]
    : [Math.round(median(rounds, "rps")), median(rounds, "p50_ms"), median(rounds, "p99_ms"), failures(rounds)]
const times = (a, b) => (Number.isFinite(a / b) ? `${(a / b).toPrecision(3)}×` : "–")

const head = ["stored", "scenario", "connections", "req/s", "p50 ms", "p99 ms", "failed"]
if (withFake) head.push("fake req/s", "fake p50 ms", "fake p99 ms", "fake failed", "req/s ratio", "p99 ratio")
const row = (columns) => `| ${columns.join(" | ")} |`
console.log(row(head))
console.log(row(head.map(() => "---")))
for (const [key, { latchkey, fake }] of cells) {
  const ofLatchkey = figures(latchkey)
  const ofFake = figures(fake)
  const ratios = [times(ofLatchkey[0], ofFake[0]), times(ofFake[2], ofLatchkey[2])]
  console.log(row([key, ...ofLatchkey, ...(withFake ? [...ofFake, ...ratios] : [])]))
}
