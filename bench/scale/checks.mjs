// Checks of the database after the servers were killed, and of what the servers return. Each check is a function that
// yields a text for each problem.
import { sql } from "./database.mjs"

/** An instant in milliseconds. */
const instant = (column) => `round(extract(epoch from ${column}) * 1000)::bigint`
const CODES = `access_code_id, workspace_id, device_id, name, code, ${instant("created_at")}, ${instant("gone_at")},
  ${instant("first_held_at")}, wake_at is not null or working_since is not null, held_code, deletion_requested_at is not null`
const EVENTS = `sequence, access_code_id, replace(event_type, 'access_code.', ''), ${instant("occurred_at")}`

/**
 * Reads the codes of these workspaces, by id, and their events, in the order in which they were recorded. `damage` is
 * SQL that is executed before, in a transaction that is rolled back.
 */
export async function read(workspace_ids, damage = "") {
  const of = `workspace_id = any('{${workspace_ids}}')`
  const codes = new Map()
  const events = []
  const nullable = (text) => (text === "\\N" ? null : text)
  const number = (text) => (text === "\\N" ? null : Number(text))
  await sql(
    `begin isolation level repeatable read; ${damage};
     copy (select 'code', ${CODES} from access_code where ${of}) to stdout;
     copy (select 'event', ${EVENTS} from event where ${of} and event_type like 'access_code.%' order by sequence) to stdout;
     rollback`,
    ([kind, ...row]) => {
      if (kind === "event") {
        const [sequence, code_id, type, at] = row
        events.push({ sequence, code_id, type, at: number(at) })
      } else {
        const [id, workspace_id, device_id, name, pin, created_at, gone_at, first_held_at, is_busy, held, is_deleted] = row
        codes.set(id, {
          id, workspace_id, device_id, name, pin, created_at: number(created_at), gone_at: number(gone_at),
          first_held_at: number(first_held_at), is_busy: is_busy === "t", held: nullable(held), is_deleted: is_deleted === "t",
        })
      }
    },
  )
  return { codes, events, events_of: group(events, ({ code_id }) => code_id) }
}

function group(items, key_of) {
  const groups = new Map()
  for (const item of items) {
    const key = key_of(item)
    const members = groups.get(key)
    if (members) members.push(item)
    else groups.set(key, [item])
  }
  return groups
}

const text = (story) => story.map(({ type }) => type).join(" ")

/** The checks by name. `stories` and `load` are what was expected, `listed` is what the servers return. */
const CHECKS = {
  *"each prepared code has exactly its events"({ events_of, stories }) {
    for (const [id, story] of stories) {
      const expected = story.map(([type]) => type).join(" ")
      const found = text(events_of.get(id) ?? [])
      if (found !== expected) yield `${id} has "${found}" and not "${expected}"`
    }
  },
  *"each event of a prepared code has its instant"({ events_of, stories }) {
    for (const [id, story] of stories) {
      for (const { type, at } of events_of.get(id) ?? []) {
        const expected = story.find(([name]) => name === type)?.[1]
        if (at !== expected) yield `${type} of ${id} is at ${at} and not at ${expected}`
      }
    }
  },
  *"each prepared code was removed from its lock"({ codes, stories }) {
    for (const [id, story] of stories) {
      const code = codes.get(id)
      if (code?.gone_at !== story.at(-1)[1] || code.held !== null) yield `${id} is ${JSON.stringify(code)}`
    }
  },
  *"each created code has exactly its events"({ codes, events_of, stories }) {
    for (const { id, gone_at, created_at, first_held_at } of codes.values()) {
      if (stories.has(id)) continue
      const story = events_of.get(id) ?? []
      const set = first_held_at === null ? "" : " set_on_device"
      const removed = first_held_at === null ? "" : " removed_from_device"
      const expected = gone_at === null ? `created${set}` : `created${set}${removed} deleted`
      if (text(story) !== expected) yield `${id} has "${text(story)}" and not "${expected}"`
      const instants = { created: created_at, set_on_device: first_held_at, removed_from_device: gone_at, deleted: gone_at }
      for (const { type, at } of story) {
        if (at !== instants[type]) yield `${type} of ${id} is at ${at} and not at ${instants[type]}`
      }
    }
  },
  *"each event belongs to a code, and has its own sequence"({ codes, events }) {
    let last
    for (const { sequence, code_id, type } of events) {
      if (!codes.has(code_id)) yield `${type} ${sequence} belongs to no code: ${code_id}`
      if (sequence === last) yield `two events have the sequence ${sequence}`
      last = sequence
    }
  },
  *"each creation that was answered is there once"({ codes, by_name, load }) {
    for (const { name, device_ids, ids } of load.answered) {
      const found = by_name.get(name) ?? []
      if (found.length !== ids.length) yield `${name} has ${found.length} codes and not ${ids.length}`
      for (const [place, id] of ids.entries()) {
        const code = codes.get(id)
        if (code?.name !== name || code.device_id !== device_ids[place]) yield `${name} is not ${id} on ${device_ids[place]}`
      }
    }
  },
  *"each creation without a response is there once or not at all"({ by_name, load }) {
    for (const { name, device_ids } of load.unknown) {
      const found = (by_name.get(name) ?? []).map(({ device_id }) => device_id)
      const isWhole = String(found.sort()) === String(device_ids.toSorted())
      if (found.length && !isWhole) yield `${name} is on ${found}, requested for ${device_ids}`
    }
  },
  *"no other code was created"({ by_name, load, codes, stories }) {
    const requested = new Set([...load.answered, ...load.unknown].map(({ name }) => name))
    for (const { id, name } of codes.values()) {
      if (!stories.has(id) && !requested.has(name)) yield `nobody was told about ${name}: ${id}`
    }
    for (const name of load.refused) if (by_name.has(name)) yield `${name} got a 409 and exists`
  },
  *"exactly the deleted codes are gone"({ codes, load, stories }) {
    const deleted = new Set(load.deleted)
    for (const { id, gone_at, is_deleted } of codes.values()) {
      if (stories.has(id)) continue
      const isRight = (gone_at !== null) === deleted.has(id) && is_deleted === deleted.has(id)
      if (!isRight) yield `${id}: deleted ${deleted.has(id)}, gone ${gone_at}`
    }
  },
  *"no operation is unfinished"({ codes }) {
    for (const { id, is_busy, gone_at, pin, held } of codes.values()) {
      if (is_busy) yield `${id} still has a step to take`
      if (held !== (gone_at === null ? pin : null)) yield `${id} has the PIN ${pin}, and its lock stores ${held}`
    }
  },
  *"no lock has the same PIN twice at one time"({ codes }) {
    const groups = group([...codes.values()], ({ device_id, pin }) => `${device_id} ${pin}`)
    for (const [key, members] of groups) {
      members.sort((a, b) => a.created_at - b.created_at)
      for (const [place, { id, gone_at }] of members.slice(0, -1).entries()) {
        if (gone_at === null || gone_at > members[place + 1].created_at) yield `${key}: ${id} and ${members[place + 1].id}`
      }
    }
  },
  *"all locks of a create_multiple have one PIN"({ by_name }) {
    for (const [name, found] of by_name) {
      if (new Set(found.map(({ pin }) => pin)).size !== 1) yield `${name} has the PINs ${found.map(({ pin }) => pin)}`
    }
  },
  *"the servers return what is stored"({ codes, listed, stories }) {
    const returned = new Map(listed.map((code) => [code.access_code_id, code]))
    if (returned.size !== listed.length) yield `${listed.length - returned.size} codes are listed twice`
    for (const { id, device_id, name, pin, gone_at } of codes.values()) {
      if (stories.has(id) || gone_at !== null) continue
      const code = returned.get(id)
      returned.delete(id)
      const is_same = code?.status === "set" && code.name === name && code.code === pin && code.device_id === device_id
      if (!is_same) yield `${id} (${name}) is returned as ${JSON.stringify(code)}`
    }
    for (const id of returned.keys()) yield `${id} is returned, but not stored`
  },
}

/** Runs all checks. Returns the problems by the name of the check. */
export function check(found, expected) {
  const others = [...found.codes.values()].filter(({ id }) => !expected.stories.has(id))
  const input = { ...found, ...expected, by_name: group(others, ({ name }) => name) }
  const problems = Object.entries(CHECKS).map(([name, yielded]) => [name, [...yielded(input)]])
  return Object.fromEntries(problems.filter(([, texts]) => texts.length))
}

/** The names of all checks. */
export const NAMES = Object.keys(CHECKS)
