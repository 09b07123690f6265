// Access codes whose transitions fall due while the servers are killed. Their number, their events and the instants of
// these are known before. Half of the locks store the time frame (native scheduling), the others are programmed just in
// time. The clocks run so fast that everything falls due within the given seconds.

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const WORKSPACES = 4
const LOCKS = 50

/** Duration of one operation of a lock. */
const PROGRAMMING = MINUTE
const CREATED_AT = Date.parse("2026-06-01T12:00:00Z")

/** When the clocks begin to run. The locks already store the codes with native scheduling. */
const BEGIN = CREATED_AT + 5 * MINUTE

/** Time on these clocks in which everything falls due. */
const SPAN = 2.6 * HOUR

/** Transitions of a code from BEGIN on. Native: start, end, begin and confirmation of the removal. */
export const TRANSITIONS_OF = { native: 4, just_in_time: 7 }

const iso = (instant) => new Date(instant).toISOString()
const lock = (native) => ({
  device_type: "august_lock",
  native_scheduling: native,
  supported_code_lengths: [8],
  max_active_codes_supported: null,
})

/** Returns the time frame of the code in this place, from 0 to 1 in the order of its kind. */
function frame_of(kind, place) {
  const starts_at = Math.round(kind === "native" ? BEGIN + MINUTE + place * 1.5 * HOUR : BEGIN + HOUR + MINUTE + place * HOUR)
  return { starts_at, ends_at: starts_at + (kind === "native" ? HOUR : HOUR / 2) }
}

/** Returns the events of a code with this time frame: types without `access_code.`, with their instants. */
function story_of(kind, { starts_at, ends_at }) {
  const removed_at = ends_at + PROGRAMMING
  const set =
    kind === "native"
      ? [["scheduled_on_device", CREATED_AT + PROGRAMMING], ["set_on_device", starts_at]]
      : [["set_on_device", starts_at - HOUR + PROGRAMMING]]
  return [["created", CREATED_AT], ...set, ["removed_from_device", removed_at], ["deleted", removed_at]]
}

/** Returns how many codes of each kind have exactly this number of transitions together. */
function counts_of(transitions) {
  const { native, just_in_time } = TRANSITIONS_OF
  let second = Math.floor(transitions / (native + just_in_time))
  while (second > 0 && (transitions - second * just_in_time) % native) second--
  return { native: Math.floor((transitions - second * just_in_time) / native), just_in_time: second }
}

async function create_workspace(post, locks) {
  const specs = Array.from({ length: locks }, (_, place) => lock(place % 2 === 0))
  const params = { clock: { held_at: iso(CREATED_AT) }, programming: { after: "PT1M" }, locks: specs }
  const { workspace, api_key, devices } = await post("/_emulator/workspaces/create", params)
  const ids = devices.map(({ device_id }) => device_id)
  const of = (rest) => ids.filter((_, place) => place % 2 === rest)
  return { workspace_id: workspace.workspace_id, api_key, locks: { native: of(0), just_in_time: of(1) } }
}

/** Asks a server for the number of transitions of one code, which must be that of TRANSITIONS_OF. */
async function check_transitions(post) {
  const { api_key, locks } = await create_workspace(post, 2)
  for (const kind of ["native", "just_in_time"]) {
    const { starts_at, ends_at } = frame_of(kind, 0)
    const params = { device_id: locks[kind][0], code: "12345678", starts_at: iso(starts_at), ends_at: iso(ends_at) }
    await post("/access_codes/create", params, api_key)
  }
  await post("/_emulator/clock/advance", { to: iso(BEGIN) }, api_key)
  const { transitions } = await post("/_emulator/clock/advance", { until: "quiet" }, api_key)
  const expected = TRANSITIONS_OF.native + TRANSITIONS_OF.just_in_time
  if (transitions !== expected) throw new Error(`two codes have ${transitions} transitions, and not ${expected}`)
  await post("/_emulator/workspaces/delete", {}, api_key)
}

/**
 * Creates codes with this number of transitions together. Returns their workspaces, the expected events by the id of the
 * code, and `run`, which starts the clocks.
 */
export async function prepare(post, transitions, seconds) {
  await check_transitions(post)
  const counts = counts_of(transitions)
  const workspaces = []
  for (let number = 0; number < WORKSPACES; number++) workspaces.push(await create_workspace(post, LOCKS))
  const stories = new Map()
  let pin = 10_000_000
  for (const [kind, count] of Object.entries(counts)) {
    for (let done = 0; done < count; ) {
      const { api_key, locks } = workspaces[pin % WORKSPACES]
      const device_ids = locks[kind].slice(0, count - done)
      const frame = frame_of(kind, done / count)
      const params = { device_ids, code: `${pin++}`, starts_at: iso(frame.starts_at), ends_at: iso(frame.ends_at) }
      const { access_codes } = await post("/access_codes/create_multiple", params, api_key)
      for (const { access_code_id } of access_codes) stories.set(access_code_id, story_of(kind, frame))
      done += device_ids.length
    }
  }
  for (const { api_key } of workspaces) await post("/_emulator/clock/advance", { to: iso(BEGIN) }, api_key)
  const rate = SPAN / 1000 / seconds
  const run = () => Promise.all(workspaces.map(({ api_key }) => post("/_emulator/clock/run", { rate }, api_key)))
  return { workspace_ids: workspaces.map(({ workspace_id }) => workspace_id), stories, counts, run }
}
