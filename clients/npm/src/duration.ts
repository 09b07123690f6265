import { LatchkeyError } from './errors.js'

const MILLISECONDS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

/**
 * Returns a duration in ISO 8601: `72h` becomes `PT259200S`. An ISO 8601 duration, such as `P3D`, is returned unchanged; the
 * server checks it. The units of the short form are `w`, `d` (24 hours), `h`, `m` (minutes), `s` and `ms`, largest first:
 * `1d12h`, `1.5h`.
 *
 * @throws {@link LatchkeyError} if the text has neither form.
 */
export function toIsoDuration(text: string): string {
  if (/^-?P/.test(text)) return text
  if (!/^(?=\d)(\d+(\.\d+)?w)?(\d+(\.\d+)?d)?(\d+(\.\d+)?h)?(\d+(\.\d+)?m)?(\d+(\.\d+)?s)?(\d+ms)?$/.test(text)) {
    throw new LatchkeyError(`"${text}" is not a duration: write it as 72h, 1d12h, 90m, 30s or 250ms, or in ISO 8601 as PT72H`)
  }
  let sum = 0
  for (const [, amount, unit] of text.matchAll(/([\d.]+)([a-z]+)/g)) {
    sum += Number(amount) * (MILLISECONDS[unit as string] as number)
  }
  return `PT${Math.round(sum) / 1_000}S`
}
