// A stay of two guests in a space with three locks through the official JavaScript client: access grants and their
// methods, from the booking to the check-out. Each test has a workspace of its own, whose clock it moves.
// Needs BASE_URL and API_KEY.
import assert from "node:assert/strict"
import { test } from "node:test"
import { SeamHttp, isSeamHttpApiError, isSeamHttpInvalidInputError } from "@seamapi/http"

const { BASE_URL, API_KEY } = process.env
const BOOKING = "2026-03-02T12:00:00.000Z"
const [CHECK_IN, CHECK_OUT, LATE_CHECK_OUT] = ["03-23T15:00", "03-26T11:00", "03-27T11:00"].map(
  (instant) => `2026-${instant}:00.000Z`,
)
const UNKNOWN = "00000000-0000-4000-8000-00000000dead"

const sandbox = SeamHttp.fromApiKey(API_KEY, { endpoint: BASE_URL })

// A workspace with a held clock and four locks, three of them in a space, and a grant on that space for each guest. The
// identity of the first guest is made with the grant, that of the second before it.
async function book(t) {
  const params = { clock: { held_at: BOOKING }, locks: 4, ttl: "PT1H" }
  const { data: workspace } = await sandbox.client.post("/_emulator/workspaces/create", params)
  const seam = SeamHttp.fromApiKey(workspace.api_key, { endpoint: BASE_URL })
  t.after(() => seam.client.post("/_emulator/workspaces/delete"))
  const device_ids = workspace.devices.map((device) => device.device_id)
  const space = await seam.spaces.create({
    name: "Apartment 12",
    space_key: "apartment-12",
    device_ids: device_ids.slice(0, 3),
  })
  const shared = {
    space_ids: [space.space_id],
    requested_access_methods: [{ mode: "code" }],
    starts_at: CHECK_IN,
    ends_at: CHECK_OUT,
    reservation_key: "stay-1",
  }
  const ada = await seam.accessGrants.create({
    ...shared,
    user_identity: { full_name: "Ada Guest", email_address: "ada@example.com", user_identity_key: "guest-ada" },
    access_grant_key: "stay-1-ada",
  })
  const { user_identity_id } = await seam.userIdentities.create({ full_name: "Ben Guest" })
  const ben = await seam.accessGrants.create({ ...shared, user_identity_id })

  // The method and its PIN, as Seam's Quick Start reads them.
  const method_of = async (grant) => {
    const [access_method_id] = grant.requested_access_methods[0].created_access_method_ids
    return await seam.accessMethods.get({ access_method_id })
  }
  return {
    seam,
    device_ids,
    space,
    ada,
    ben,
    method_of,
    get: ({ access_grant_id }) => seam.accessGrants.get({ access_grant_id }),
    codes_of: ({ access_grant_id }) => seam.accessCodes.list({ access_grant_id }),
    advance: (how) => seam.client.post("/_emulator/clock/advance", typeof how === "string" ? { to: how } : how),
    programmed: () => seam.client.post("/_emulator/clock/advance", { by: "PT1S" }),
    event_types: async (filter) => {
      const events = await seam.events.list({ ...filter, since: "2026-01-01T00:00:00Z" })
      return events.map((event) => event.event_type)
    },
  }
}

const ids = (objects, key) => objects.map((object) => object[key]).sort()
const pins = (codes) => codes.map((code) => code.code)
const statuses = (codes) => codes.map((code) => code.status)
const kinds = (conditions, key) => conditions.map((condition) => condition[key])

async function is_not_found(call, code) {
  await assert.rejects(call, (error) => {
    assert.ok(isSeamHttpApiError(error))
    assert.deepEqual([error.statusCode, error.code], [404, code])
    return true
  })
}

test("pin_of_each_guest_is_known_when_the_grant_is_created", async (t) => {
  const { seam, space, ada, ben, method_of } = await book(t)
  const [of_ada, of_ben] = [await method_of(ada), await method_of(ben)]
  for (const [grant, method] of [[ada, of_ada], [ben, of_ben]]) {
    assert.deepEqual(grant.access_method_ids, [method.access_method_id])
    assert.deepEqual([grant.space_ids, grant.starts_at, grant.ends_at], [[space.space_id], CHECK_IN, CHECK_OUT])
    assert.deepEqual([grant.errors, grant.warnings, grant.pending_mutations], [[], [], []])
    assert.match(method.code, /^[0-9]{4,}$/)
    assert.deepEqual([method.mode, method.is_issued, method.display_status], ["code", true, "Upcoming"])
    assert.deepEqual(await seam.accessMethods.list({ access_grant_id: grant.access_grant_id }), [method])
  }
  assert.notEqual(of_ada.code, of_ben.code)
  assert.deepEqual([ada.display_name, ben.display_name], ["Ada Guest", "Ben Guest"])
  const identity = await seam.userIdentities.get({ user_identity_key: "guest-ada" })
  assert.deepEqual([identity.user_identity_id, identity.email_address], [ada.user_identity_id, "ada@example.com"])
})

test("codes_of_a_grant_have_one_pin_and_are_set_at_check_in", async (t) => {
  const { seam, device_ids, ada, get, method_of, codes_of, advance, event_types } = await book(t)
  const { code } = await method_of(ada)
  assert.deepEqual(statuses(await codes_of(ada)), ["unset", "unset", "unset"])
  await advance(CHECK_IN)
  const codes = await codes_of(ada)
  assert.deepEqual(statuses(codes), ["set", "set", "set"])
  assert.deepEqual(pins(codes), [code, code, code])
  assert.deepEqual(ids(codes, "device_id"), device_ids.slice(0, 3).sort())
  assert.equal(new Set(codes.map((code) => code.common_code_key)).size, 1)
  for (const device_id of device_ids.slice(0, 3)) {
    const { data } = await seam.client.post("/_emulator/locks/enter_code", { device_id, code })
    assert.equal(data.result, "unlocked")
  }
  const method = await method_of(ada)
  assert.deepEqual([method.is_issued, method.display_status], [true, "Active"])
  assert.equal((await get(ada)).display_status, "Active")
  assert.deepEqual(await event_types({ access_grant_id: ada.access_grant_id }), [
    "access_grant.created",
    "access_method.created",
    "access_method.issued",
    "access_grant.access_granted_to_all_doors",
  ])
})

test("extension_keeps_the_pin_and_issues_the_method_again", async (t) => {
  const { seam, ada, get, method_of, codes_of, advance, programmed, event_types } = await book(t)
  await advance(CHECK_IN)
  const { access_method_id, code } = await method_of(ada)
  await seam.accessGrants.update({ access_grant_key: "stay-1-ada", ends_at: LATE_CHECK_OUT })

  const [grant, method] = [await get(ada), await method_of(ada)]
  assert.equal(grant.ends_at, LATE_CHECK_OUT)
  assert.deepEqual(kinds(grant.warnings, "warning_code"), ["updating_access_times"])
  assert.deepEqual([method.is_issued, method.issued_at, method.code], [false, null, code])
  const [mutation] = method.pending_mutations
  assert.deepEqual(
    [mutation.mutation_code, mutation.from.ends_at, mutation.to.ends_at],
    ["updating_access_times", CHECK_OUT, LATE_CHECK_OUT],
  )

  await programmed()
  const again = await method_of(ada)
  assert.deepEqual([again.access_method_id, again.code, again.is_issued], [access_method_id, code, true])
  assert.deepEqual([again.warnings, again.pending_mutations, (await get(ada)).warnings], [[], [], []])
  for (const access_code of await codes_of(ada)) {
    assert.deepEqual([access_code.status, access_code.code, access_code.ends_at], ["set", code, LATE_CHECK_OUT])
  }
  assert.deepEqual((await event_types({ access_grant_id: ada.access_grant_id })).slice(-3), [
    "access_grant.access_times_changed",
    "access_method.revoked",
    "access_method.reissued",
  ])
  const [reissued] = await seam.events.list({ access_method_id, event_type: "access_method.reissued", since: BOOKING })
  assert.deepEqual([reissued.code, reissued.access_grant_keys], [code, ["stay-1-ada"]])
})

test("lock_that_joins_the_space_gets_the_pin_of_each_guest", async (t) => {
  const { seam, device_ids, space, ada, ben, get, method_of, codes_of, advance, programmed } = await book(t)
  await advance(CHECK_IN)
  const fourth = device_ids[3]
  const added = { space_id: space.space_id, device_ids: [fourth] }
  await seam.spaces.addDevices(added)
  await seam.spaces.addDevices(added)

  const grant = await get(ada)
  assert.deepEqual(kinds(grant.warnings, "warning_code"), ["underprovisioned_access"])
  assert.deepEqual(kinds(grant.pending_mutations, "mutation_code"), ["updating_spaces"])
  const method = await method_of(ada)
  assert.equal(method.is_issued, true)
  assert.deepEqual(kinds(method.pending_mutations, "mutation_code"), ["provisioning_access"])

  await programmed()
  for (const guest of [ada, ben]) {
    const { code } = await method_of(guest)
    const codes = await codes_of(guest)
    assert.deepEqual(pins(codes), [code, code, code, code])
    assert.deepEqual(statuses(codes), ["set", "set", "set", "set"])
    assert.deepEqual(ids(codes, "device_id"), [...device_ids].sort())
    const { warnings, pending_mutations } = await get(guest)
    assert.deepEqual([warnings, pending_mutations], [[], []])
  }
  assert.equal((await seam.spaces.get({ space_key: "apartment-12" })).device_count, 4)

  await seam.spaces.removeDevices(added)
  await programmed()
  assert.deepEqual(ids(await codes_of(ada), "device_id"), device_ids.slice(0, 3).sort())
})

test("deleted_grant_stays_until_its_last_lock_is_back_and_the_other_stay_ends_by_itself", async (t) => {
  const { seam, device_ids, ada, ben, get, method_of, codes_of, advance, programmed, event_types } = await book(t)
  await advance(CHECK_IN)
  const [device_id] = device_ids
  const { access_grant_id } = ada
  await seam.devices.simulate.disconnect({ device_id })
  await seam.accessGrants.delete({ access_grant_id })
  await programmed()
  await seam.accessGrants.delete({ access_grant_id })

  const deleted = await get(ada)
  assert.equal(deleted.display_status, "Being deleted")
  assert.deepEqual(kinds(deleted.warnings, "warning_code"), ["being_deleted"])
  const method = await method_of(ada)
  assert.deepEqual(kinds(method.warnings, "warning_code"), ["being_deleted"])
  assert.deepEqual(kinds(method.pending_mutations, "mutation_code"), ["revoking_access"])
  const left = await codes_of(ada)
  assert.deepEqual([ids(left, "device_id"), statuses(left)], [[device_id], ["removing"]])

  await seam.devices.simulate.connect({ device_id })
  await programmed()
  await is_not_found(get(ada), "access_grant_not_found")
  await is_not_found(method_of(ada), "access_method_not_found")
  await is_not_found(seam.accessGrants.delete({ access_grant_id }), "access_grant_not_found")
  const told = await event_types({ access_grant_id })
  assert.deepEqual(told.slice(-2), ["access_method.deleted", "access_grant.deleted"])

  assert.deepEqual(statuses(await codes_of(ben)), ["set", "set", "set"])
  await advance(CHECK_OUT)
  await programmed()
  assert.deepEqual(await codes_of(ben), [])
  const [over, method_over] = [await get(ben), await method_of(ben)]
  assert.deepEqual([over.display_status, over.ends_at], ["Expired", CHECK_OUT])
  assert.deepEqual([method_over.display_status, method_over.is_issued], ["Expired", false])
  for (const device_id of device_ids) {
    const { data } = await seam.client.post("/_emulator/locks/memory", { device_id })
    assert.ok(data.codes.every((stored) => stored.code !== method_over.code))
  }
})

test("deleted_method_leaves_the_grant_and_its_other_method", async (t) => {
  const { seam, ada, get, codes_of, programmed } = await book(t)
  const { access_grant_id } = ada
  const more = await seam.accessGrants.requestAccessMethods({
    access_grant_id,
    requested_access_methods: [{ mode: "code", code: "73910" }],
  })
  const [[first], [second]] = more.requested_access_methods.map((request) => request.created_access_method_ids)
  assert.equal((await seam.accessMethods.get({ access_method_id: second })).code, "73910")
  await seam.accessMethods.delete({ access_method_id: first })
  await seam.accessMethods.delete({ access_method_id: first })
  await programmed()
  await is_not_found(seam.accessMethods.get({ access_method_id: first }), "access_method_not_found")
  await is_not_found(seam.accessMethods.delete({ access_method_id: first }), "access_method_not_found")
  assert.deepEqual((await get(ada)).access_method_ids, [second])
  assert.deepEqual(pins(await codes_of(ada)), ["73910", "73910", "73910"])
})

test("grants_methods_and_codes_are_found_by_each_filter", async (t) => {
  const { seam, device_ids, space, ada, ben, method_of, codes_of } = await book(t)
  const { access_grant_id, user_identity_id } = ada
  const both = ids([ada, ben], "access_grant_id")
  const [first, , , fourth] = device_ids
  const [access_code] = await codes_of(ada)
  const method = await method_of(ada)
  for (const [filter, expected] of [
    [{}, both],
    [{ access_grant_ids: [access_grant_id] }, [access_grant_id]],
    [{ access_grant_key: "stay-1-ada" }, [access_grant_id]],
    [{ access_grant_key: null }, [ben.access_grant_id]],
    [{ access_code_id: access_code.access_code_id }, [access_grant_id]],
    [{ user_identity_id }, [access_grant_id]],
    [{ space_id: space.space_id }, both],
    [{ device_id: first }, both],
    [{ device_id: fourth }, []],
    [{ reservation_key: "stay-1" }, both],
    [{ reservation_key: "stay-2" }, []],
    [{ search: "ada@" }, [access_grant_id]],
  ]) {
    const found = ids(await seam.accessGrants.list(filter), "access_grant_id")
    assert.deepEqual(found, expected, JSON.stringify(filter))
  }
  for (const filter of [
    { access_grant_id },
    { access_grant_key: "stay-1-ada" },
    { access_grant_id, device_id: first },
    { access_grant_id, space_id: space.space_id },
    { access_grant_id, access_code_id: access_code.access_code_id },
  ]) {
    const found = ids(await seam.accessMethods.list(filter), "access_method_id")
    assert.deepEqual(found, [method.access_method_id], JSON.stringify(filter))
  }
  for (const filter of [
    { access_grant_id },
    { access_grant_key: "stay-1-ada" },
    { access_method_id: method.access_method_id },
  ]) {
    assert.equal((await seam.accessCodes.list(filter)).length, 3, JSON.stringify(filter))
  }
  const devices = await seam.devices.list({ space_id: space.space_id })
  assert.deepEqual(ids(devices, "device_id"), device_ids.slice(0, 3).sort())
  assert.deepEqual(ids(await seam.spaces.list({ search: "apartment" }), "space_id"), [space.space_id])
  assert.deepEqual(ids(await seam.userIdentities.list({ search: "Ada" }), "user_identity_id"), [user_identity_id])
  assert.deepEqual(await seam.accessGrants.unmanaged.list(), [])
})

test("grants_are_listed_page_by_page", async (t) => {
  const { seam, ada, ben } = await book(t)
  const pages = seam.createPaginator(seam.accessGrants.list({ limit: 1 }))
  const [first, { hasNextPage, nextPageCursor }] = await pages.firstPage()
  assert.deepEqual([first.length, hasNextPage], [1, true])
  const [second, last] = await pages.nextPage(nextPageCursor)
  assert.equal(last.hasNextPage, false)
  assert.deepEqual(ids([...first, ...second], "access_grant_id"), ids([ada, ben], "access_grant_id"))
})

test("related_objects_of_a_grant_and_of_a_method_are_read_together", async (t) => {
  const { seam, device_ids, space, ada, method_of } = await book(t)
  const three = device_ids.slice(0, 3).sort()
  const { access_method_id } = await method_of(ada)
  const of_grant = await seam.accessGrants.getRelated({ access_grant_keys: ["stay-1-ada"] })
  assert.deepEqual(ids(of_grant.devices, "device_id"), three)
  assert.deepEqual(ids(of_grant.spaces, "space_id"), [space.space_id])
  assert.deepEqual(ids(of_grant.access_methods, "access_method_id"), [access_method_id])
  assert.deepEqual(ids(of_grant.user_identities, "user_identity_id"), [ada.user_identity_id])
  const of_method = await seam.accessMethods.getRelated({
    access_method_ids: [access_method_id],
    include: ["access_grants", "devices"],
  })
  assert.deepEqual(Object.keys(of_method).sort(), ["access_grants", "devices"])
  assert.deepEqual(ids(of_method.access_grants, "access_grant_id"), [ada.access_grant_id])
  assert.deepEqual(ids(of_method.devices, "device_id"), three)
})

test("related_objects_of_a_space_include_the_methods_of_its_guests", async (t) => {
  const { seam, device_ids, space, ada, ben } = await book(t)
  const batch = await seam.spaces.getRelated({ space_keys: ["apartment-12"], exclude: ["connected_accounts"] })
  assert.ok(!("connected_accounts" in batch))
  assert.deepEqual(ids(batch.spaces, "space_id"), [space.space_id])
  assert.deepEqual(ids(batch.devices, "device_id"), device_ids.slice(0, 3).sort())
  const of_guests = [...ada.access_method_ids, ...ben.access_method_ids]
  assert.deepEqual(ids(batch.access_methods, "access_method_id"), of_guests.sort())
})

test("devices_of_a_grant_are_accessible_to_its_guest", async (t) => {
  const { seam, device_ids, ada } = await book(t)
  const { user_identity_id } = ada
  const accessible = await seam.userIdentities.listAccessibleDevices({ user_identity_id })
  assert.deepEqual(ids(accessible, "device_id"), device_ids.slice(0, 3).sort())
})

test("code_of_a_grant_cannot_be_deleted_on_its_own", async (t) => {
  const { seam, ada, codes_of } = await book(t)
  const [{ access_code_id }] = await codes_of(ada)
  await assert.rejects(seam.accessCodes.delete({ access_code_id }), (error) => {
    assert.ok(isSeamHttpApiError(error))
    assert.deepEqual([error.statusCode, error.code], [400, "access_code_managed_by_access_grant"])
    return true
  })
  assert.equal((await codes_of(ada)).length, 3)
})

test("request_that_names_nothing_or_nobody_is_refused", async (t) => {
  const { seam, space, ada } = await book(t)
  const { user_identity_id } = ada
  const nowhere = { user_identity_id, requested_access_methods: [{ mode: "code" }] }
  const here = { ...nowhere, space_ids: [space.space_id] }
  await assert.rejects(seam.accessGrants.create(nowhere), isSeamHttpInvalidInputError)
  await is_not_found(seam.accessGrants.create({ ...here, space_ids: [UNKNOWN] }), "space_not_found")
  await is_not_found(seam.accessGrants.create({ ...here, user_identity_id: UNKNOWN }), "user_identity_not_found")
  await assert.rejects(seam.accessGrants.create({ ...here, access_grant_key: "stay-1-ada" }), (error) => {
    assert.deepEqual([error.statusCode, error.code], [409, "access_grant_key_already_exists"])
    return true
  })
})
