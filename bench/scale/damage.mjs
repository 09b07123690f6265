// Damage to the database, each with the check that must find it. This proves that the checks can fail.

/** Copies a row with changed columns. */
const copy = (table, changes, from) =>
  `insert into ${table} overriding system value
   select (jsonb_populate_record(t, ${changes})).* from ${table} t where ${from}`

/** Condition for the key of one row of a table that fulfils a condition. */
const one = (table, key, condition) => `${key} = (select ${key} from ${table} where ${condition} limit 1)`

/** Returns SQL for each damage: [what, the name of the check, the statement]. */
export function damages({ prepared_ids, load_id, load }) {
  const prepared = `workspace_id = any('{${prepared_ids}}')`
  const created = `workspace_id = '${load_id}'`
  const set = `${created} and gone_at is null and first_held_at is not null`
  const event = (of, type) => one("event", "event_id", `${of} and event_type = 'access_code.${type}'`)
  const code = (condition) => one("access_code", "access_code_id", condition)
  const sequence_of = (table) => `(select max(sequence) + 1 from ${table})`
  const new_event = `jsonb_build_object('event_id', gen_random_uuid(), 'sequence', ${sequence_of("event")})`
  const new_code = `jsonb_build_object('access_code_id', gen_random_uuid(), 'sequence', ${sequence_of("access_code")})`
  const deleted = new Set(load.deleted)
  const ids_of = (count) => load.answered.find(({ ids }) => ids.length === count && !ids.some((id) => deleted.has(id))).ids
  const shared = ids_of(3)
  const single = ids_of(1)
  return [
    ["an event of a prepared code is missing", "each prepared code has exactly its events",
      `delete from event where ${event(prepared, "set_on_device")}`],
    ["an event of a prepared code is there twice", "each prepared code has exactly its events",
      copy("event", new_event, event(prepared, "removed_from_device"))],
    ["an event of a prepared code is a millisecond late", "each event of a prepared code has its instant",
      `update event set occurred_at = occurred_at + interval '1 ms' where ${event(prepared, "set_on_device")}`],
    ["a prepared code is still on its lock", "each prepared code was removed from its lock",
      `update access_code set gone_at = null, held_code = code where ${code(prepared)}`],
    ["an event of a created code is missing", "each created code has exactly its events",
      `delete from event where ${event(created, "set_on_device")}`],
    ["an event of a created code is there twice", "each created code has exactly its events",
      copy("event", new_event, event(created, "created"))],
    ["an event belongs to no code", "each event belongs to a code, and has its own sequence",
      `update event set access_code_id = gen_random_uuid() where ${event(created, "created")}`],
    ["two events have one sequence", "each event belongs to a code, and has its own sequence",
      copy("event", "jsonb_build_object('event_id', gen_random_uuid())", event(created, "created"))],
    ["a created code is missing", "each creation that was answered is there once",
      `delete from access_code where access_code_id = '${single[0]}'`],
    ["a created code is there twice", "each creation that was answered is there once",
      copy("access_code", new_code, `access_code_id = '${single[0]}'`)],
    ["a create_multiple created only a part", "each creation that was answered is there once",
      `delete from access_code where access_code_id = '${shared[0]}'`],
    ["a creation without a response is there twice", "each creation without a response is there once or not at all",
      load.unknown.length &&
        `insert into access_code overriding system value
         select (jsonb_populate_record(t, ${new_code} || jsonb_build_object('name', '${load.unknown[0]?.name}',
           'device_id', '${load.unknown[0]?.device_ids[0]}', 'sequence', ${sequence_of("access_code")} + place))).*
         from access_code t, generate_series(0, 1) place where access_code_id = '${single[0]}'`],
    ["a code was created that nobody requested", "no other code was created",
      `update access_code set name = 'nobody' where ${code(set)}`],
    ["a refused code was created", "no other code was created",
      load.refused.length &&
        copy("access_code", `${new_code} || '{"name": "${load.refused[0]}"}'`, `access_code_id = '${single[0]}'`)],
    ["a deleted code is there again", "exactly the deleted codes are gone",
      `update access_code set gone_at = null, deletion_requested_at = null, held_code = code
       where ${code(`${created} and gone_at is not null`)}`],
    ["a code is gone that nobody deleted", "exactly the deleted codes are gone",
      `update access_code set gone_at = as_of, held_code = null where ${code(set)}`],
    ["a step is still due", "no operation is unfinished",
      `update access_code set wake_at = as_of, due_at = as_of where ${code(set)}`],
    ["a lock does not store a code", "no operation is unfinished",
      `update access_code set held_code = null where ${code(set)}`],
    ["two codes of a lock have one PIN", "no lock has the same PIN twice at one time",
      `with pair as (select device_id, min(access_code_id::text)::uuid as first, max(access_code_id::text)::uuid as last
         from access_code where ${set} group by device_id having count(*) > 1 limit 1)
       update access_code t set code = other.code, held_code = other.code from pair, access_code other
       where t.access_code_id = pair.first and other.access_code_id = pair.last`],
    ["the codes of a create_multiple have two PINs", "all locks of a create_multiple have one PIN",
      `update access_code set code = '00000', held_code = '00000' where access_code_id = '${shared[0]}'`],
    ["a server returns another PIN than the stored one", "the servers return what is stored",
      `update access_code set code = '00000', held_code = '00000' where access_code_id = '${single[0]}'`],
    ["a server does not return a code", "the servers return what is stored",
      copy("access_code", new_code, `access_code_id = '${single[0]}'`)],
  ].filter(([, , statement]) => statement)
}
