// The main job through the official JavaScript client: a PIN on two locks, from its making to its end.
// Needs BASE_URL and API_KEY.
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { SeamHttp, isSeamHttpApiError, isSeamHttpInvalidInputError } from "@seamapi/http"

const { BASE_URL, API_KEY, SETTLE_TIMEOUT_MS = "20000" } = process.env
const UNKNOWN_DEVICE = "00000000-0000-4000-8000-00000000dead"

const seam = SeamHttp.fromApiKey(API_KEY, { endpoint: BASE_URL })
const created = []
let device_ids

async function create_on_both(name) {
  const codes = await seam.accessCodes.createMultiple({ device_ids, name })
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
  const locks = devices.filter((device) => device.can_program_online_access_codes && device.properties.online !== false)
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
    let code
    await until("the code is set", async () => {
      code = await seam.accessCodes.get({ access_code_id })
      return code.status === "set"
    })
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
