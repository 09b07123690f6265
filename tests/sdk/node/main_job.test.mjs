// The main job through the official JavaScript client: a PIN on two locks, from its making to its end, and what can
// come between.
// Needs BASE_URL and API_KEY.
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { SeamHttp, isSeamHttpApiError, isSeamHttpInvalidInputError } from "@seamapi/http"

const { BASE_URL, API_KEY, SETTLE_TIMEOUT_MS = "20000" } = process.env
const UNKNOWN_DEVICE = "00000000-0000-4000-8000-00000000dead"

const seam = SeamHttp.fromApiKey(API_KEY, { endpoint: BASE_URL })
const HOUR = 3_600_000
const from_now = (milliseconds) => new Date(Date.now() + milliseconds).toISOString()
const created = []
let locks
let device_ids

async function create_on_both(name, more = {}) {
  const codes = await seam.accessCodes.createMultiple({ device_ids, name, ...more })
  created.push(...codes)
  return codes
}

async function until(what, check) {
  const deadline = performance.now() + Number(SETTLE_TIMEOUT_MS)
  while (!(await check())) {
    assert.ok(performance.now() < deadline, `timed out waiting until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

// The code, once the lock has nothing to do with it any more.
async function settled({ access_code_id }) {
  let code
  await until("the lock has the code as it was asked for", async () => {
    code = await seam.accessCodes.get({ access_code_id })
    return code.status === "set" && code.pending_mutations.length === 0
  })
  return code
}

async function is_gone({ access_code_id }) {
  try {
    await seam.accessCodes.get({ access_code_id })
    return false
  } catch (error) {
    if (isSeamHttpApiError(error) && error.statusCode === 404) return true
    throw error
  }
}

before(async () => {
  const devices = await seam.devices.list()
  locks = devices.filter((device) => device.can_program_online_access_codes && device.properties.online !== false)
  const length = (lock) => lock.properties.supported_code_lengths ?? [4]
  const share = (a, b) => length(a).some((digits) => length(b).includes(digits))
  const pairs = locks.flatMap((a, i) => locks.slice(i + 1).filter((b) => share(a, b)).map((b) => [a, b]))
  assert.ok(pairs.length > 0, "the workspace has no two locks that can share a PIN")
  device_ids = pairs[0].map((lock) => lock.device_id)
})

after(async () => {
  for (const code of created) {
    if (!(await is_gone(code))) await seam.accessCodes.delete({ access_code_id: code.access_code_id })
  }
})

test("create_multiple_without_a_code_puts_one_pin_and_one_common_code_key_on_both_locks", async () => {
  const [first, second] = await create_on_both("one pin")
  assert.match(first.code, /^[0-9]{4,}$/)
  assert.equal(second.code, first.code)
  assert.match(first.common_code_key, /^auto_set_by_create_multiple_/)
  assert.equal(second.common_code_key, first.common_code_key)
  assert.deepEqual([first.device_id, second.device_id].sort(), [...device_ids].sort())
})

test("a_code_of_each_lock_becomes_set_without_errors", async () => {
  for (const { access_code_id } of await create_on_both("becomes set")) {
    const code = await settled({ access_code_id })
    assert.deepEqual(code.errors, [])
  }
})

test("a_list_by_device_holds_that_locks_code_and_no_other_locks", async () => {
  const [first, second] = await create_on_both("listed")
  const listed = await seam.accessCodes.list({ device_id: first.device_id })
  const ids = listed.map((code) => code.access_code_id)
  assert.ok(ids.includes(first.access_code_id))
  assert.ok(!ids.includes(second.access_code_id))
})

test("get_answers_the_code_that_create_multiple_answered", async () => {
  const [created_code] = await create_on_both("read back")
  const code = await seam.accessCodes.get({ access_code_id: created_code.access_code_id })
  for (const field of ["access_code_id", "device_id", "name", "code", "common_code_key", "created_at"]) {
    assert.equal(code[field], created_code[field], field)
  }
})

test("a_deleted_code_answers_404_once_it_is_off_its_lock", async () => {
  const codes = await create_on_both("deleted")
  for (const { access_code_id } of codes) await seam.accessCodes.delete({ access_code_id })
  for (const code of codes) await until("the code is gone", () => is_gone(code))
})

test("a_code_for_an_unknown_lock_is_refused_with_device_not_found", async () => {
  await assert.rejects(seam.accessCodes.create({ device_id: UNKNOWN_DEVICE }), (error) => {
    assert.ok(isSeamHttpApiError(error))
    assert.equal(error.code, "device_not_found")
    assert.equal(error.statusCode, 404)
    assert.ok(error.requestId)
    return true
  })
})

test("a_field_of_the_wrong_type_is_refused_with_messages_for_that_field", async () => {
  await assert.rejects(seam.accessCodes.create({ device_id: device_ids[0], name: 42 }), (error) => {
    assert.ok(isSeamHttpInvalidInputError(error))
    assert.equal(error.statusCode, 400)
    assert.deepEqual(error.getValidationErrorMessages("name"), ["Expected string, received number"])
    assert.deepEqual(error.getValidationErrorMessages("device_id"), [])
    return true
  })
})

test("an_update_gives_an_ongoing_code_a_window_and_takes_it_away_again", async () => {
  const [{ access_code_id }] = await create_on_both("to be changed")
  await settled({ access_code_id })
  const [starts_at, ends_at] = [from_now(-HOUR), from_now(HOUR)]
  await seam.accessCodes.update({ access_code_id, name: "changed", type: "time_bound", starts_at, ends_at })
  const bound = await settled({ access_code_id })
  assert.equal(bound.name, "changed")
  assert.deepEqual([bound.type, bound.starts_at, bound.ends_at], ["time_bound", starts_at, ends_at])
  await seam.accessCodes.update({ access_code_id, type: "ongoing" })
  const ongoing = await settled({ access_code_id })
  assert.deepEqual([ongoing.type, ongoing.starts_at, ongoing.ends_at], ["ongoing", null, null])
})

test("update_multiple_moves_and_renames_the_codes_of_both_locks", async () => {
  const window = { starts_at: from_now(-HOUR), ends_at: from_now(HOUR) }
  const codes = await create_on_both("to be moved", window)
  for (const code of codes) await settled(code)
  const ends_at = from_now(2 * HOUR)
  await seam.accessCodes.updateMultiple({ common_code_key: codes[0].common_code_key, name: "moved", ends_at })
  for (const code of codes) {
    const moved = await settled(code)
    assert.deepEqual([moved.name, moved.code, moved.starts_at, moved.ends_at], ["moved", code.code, window.starts_at, ends_at])
  }
})

test("a_backup_code_works_as_soon_as_it_is_pulled", async () => {
  const lock = locks.find((lock) => lock.properties.supports_backup_access_code_pool)
  assert.ok(lock, "the workspace has no lock with a backup pool")
  const [starts_at, ends_at] = [from_now(-HOUR), from_now(HOUR)]
  const { device_id } = lock
  const code = await seam.accessCodes.create({ device_id, starts_at, ends_at, use_backup_access_code_pool: true })
  created.push(code)
  const { access_code_id } = code
  await until("a backup is available", async () => {
    return (await seam.accessCodes.get({ access_code_id })).is_backup_access_code_available
  })
  const backup = await seam.accessCodes.pullBackupAccessCode({ access_code_id })
  created.push(backup)
  assert.deepEqual([backup.is_backup, backup.status, backup.ends_at], [true, "set", ends_at])
  assert.notEqual(backup.code, code.code)
  const original = await seam.accessCodes.get({ access_code_id })
  assert.equal(original.pulled_backup_access_code_id, backup.access_code_id)
})

test("a_code_put_on_the_lock_by_somebody_else_is_listed_and_can_be_taken_over", async () => {
  const [device_id] = device_ids
  const { code } = await seam.accessCodes.generateCode({ device_id })
  const made = await seam.accessCodes.simulate.createUnmanagedAccessCode({ device_id, code, name: "Neighbour" })
  const { access_code_id } = made
  const listed = await seam.accessCodes.unmanaged.list({ device_id })
  const found = listed.find((other) => other.access_code_id === access_code_id)
  assert.deepEqual([found.name, found.code, found.status, found.is_managed], ["Neighbour", code, "set", false])
  await seam.accessCodes.unmanaged.convertToManaged({ access_code_id })
  const managed = await seam.accessCodes.get({ access_code_id })
  created.push(managed)
  assert.deepEqual([managed.code, managed.is_managed], [code, true])
})

test("a_code_put_on_the_lock_by_somebody_else_can_be_deleted", async () => {
  const [device_id] = device_ids
  const { code } = await seam.accessCodes.generateCode({ device_id })
  const made = await seam.accessCodes.simulate.createUnmanagedAccessCode({ device_id, code, name: "Neighbour" })
  const { access_code_id } = made
  await seam.accessCodes.unmanaged.delete({ access_code_id })
  await until("the code is off the lock", async () => {
    const listed = await seam.accessCodes.unmanaged.list({ device_id })
    return listed.every((other) => other.access_code_id !== access_code_id)
  })
})

test("a_disconnected_lock_is_given_its_codes_when_it_is_connected_again", async () => {
  const [device_id] = device_ids
  await seam.devices.simulate.disconnect({ device_id })
  let waiting
  try {
    const device = await seam.devices.get({ device_id })
    assert.deepEqual(device.errors.map((error) => error.error_code), ["device_disconnected"])
    ;[waiting] = (await create_on_both("waiting")).filter((code) => code.device_id === device_id)
    const code = await seam.accessCodes.get({ access_code_id: waiting.access_code_id })
    assert.equal(code.status, "setting")
    assert.deepEqual(code.errors.map((error) => error.error_code), ["device_disconnected"])
  } finally {
    await seam.devices.simulate.connect({ device_id })
  }
  const code = await settled(waiting)
  assert.deepEqual(code.errors, [])
})
