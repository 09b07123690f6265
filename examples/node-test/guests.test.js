// Tests of guest access codes, from the booking to the check-out. They neither sleep nor poll.

import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { isSeamHttpApiError } from '@seamapi/http'
import { makeWorkspace, startLatchkey } from './latchkey.js'

const pending = (code) => code.pending_mutations.map((mutation) => mutation.mutation_code)
const errors = (code) => code.errors.map((error) => error.error_code)

const latchkey = await startLatchkey()
after(() => latchkey.stop())

describe('guests', () => {
  test("a guest's stay, from booking to 404", async (t) => {
    const workspace = await makeWorkspace(t, latchkey.url)
    const { seam, locks: [lock] } = workspace
    const look = async () => await seam.accessCodes.get({ access_code_id: code.access_code_id })

    // Booked three weeks ahead: nothing is on the lock yet.
    const code = await seam.accessCodes.create({
      device_id: lock,
      name: 'Ada',
      starts_at: '2026-03-23T15:00:00Z',
      ends_at: '2026-03-26T11:00:00Z',
    })
    assert.deepEqual([code.status, pending(code)], ['unset', ['deferring_creation']])
    await workspace.advance({ to: '2026-03-20T14:59:59Z' })
    assert.deepEqual([(await look()).is_scheduled_on_device, await workspace.memory(lock)], [false, []])

    // 72 hours before the start the code is set on the lock, which stores the schedule.
    await workspace.advance({ by: 'PT1S' })
    assert.deepEqual(pending(await look()), ['creating'])
    await workspace.advance({ by: 'PT1S' })
    const scheduled = await look()
    assert.deepEqual([scheduled.status, scheduled.is_scheduled_on_device, pending(scheduled)], ['unset', true, []])
    assert.deepEqual((await workspace.memory(lock)).map((held) => held.code), [code.code])

    // Check-in.
    await workspace.advance({ to: '2026-03-23T14:59:59Z' })
    assert.equal((await look()).status, 'unset')
    await workspace.advance({ by: 'PT1S' })
    assert.equal((await look()).status, 'set')

    // One night more. August locks change a code by deleting and recreating it, hence `setting`.
    await seam.accessCodes.update({ access_code_id: code.access_code_id, ends_at: '2026-03-27T11:00:00Z' })
    const extended = await look()
    assert.deepEqual([extended.status, pending(extended)], ['setting', ['updating_time_frame']])
    await workspace.advance({ by: 'PT1S' })
    assert.equal((await look()).status, 'set')
    await workspace.advance({ to: '2026-03-26T11:00:00Z' })
    assert.equal((await look()).status, 'set')

    // Check-out, and the lock is offline, so the code cannot be removed.
    await workspace.offline(lock)
    await workspace.advance({ to: '2026-03-27T11:00:00Z' })
    const stuck = await look()
    assert.deepEqual([stuck.status, pending(stuck)], ['removing', ['deleting']])
    assert.deepEqual(errors(stuck), ['failed_to_remove_from_device', 'device_disconnected'])
    await workspace.advance({ by: 'PT3H' })
    assert.deepEqual([(await look()).status, (await workspace.memory(lock)).length], ['removing', 1])

    // The lock is online again and removes the code.
    await workspace.online(lock)
    await workspace.advance({ by: 'PT1S' })
    await assert.rejects(look, (error) => isSeamHttpApiError(error) && error.statusCode === 404)
    assert.deepEqual(await workspace.memory(lock), [])
    assert.deepEqual(await workspace.events(code), [
      'created',
      'scheduled_on_device',
      'set_on_device',
      'mutations_requested',
      'changed',
      'time_frame_changed',
      'failed_to_remove_from_device',
      'removed_from_device',
      'deleted',
    ])
  })

  test('a lock that fails three times has the code at the fourth attempt', async (t) => {
    const workspace = await makeWorkspace(t, latchkey.url)
    const [device_id] = workspace.locks
    await workspace.emulator('faults/create', { operation: 'set', device_id, outcome: { fail: {} }, times: 3 })

    const code = await workspace.seam.accessCodes.create({ device_id, name: 'Cleaner' })
    const look = async () => await workspace.seam.accessCodes.get({ access_code_id: code.access_code_id })
    for (const wait of ['PT0.25S', 'PT10.25S', 'PT20.25S']) {
      await workspace.advance({ by: wait })
      const failing = await look()
      assert.deepEqual([failing.status, errors(failing)], ['setting', ['failed_to_set_on_device']])
    }
    assert.deepEqual(await workspace.memory(device_id), [])

    await workspace.advance({ by: 'PT40.25S' })
    const done = await look()
    assert.deepEqual([done.status, errors(done)], ['set', []])
    assert.deepEqual((await workspace.memory(device_id)).map((held) => held.code), [code.code])
    assert.deepEqual(await workspace.events(code), ['created', 'failed_to_set_on_device', 'set_on_device'])
    const { faults: [fault] } = await workspace.emulator('faults/list')
    assert.deepEqual([fault.used, fault.is_exhausted], [3, true])
  })

  test('two guests have one PIN each for both doors, and a backup where a lock fails', async (t) => {
    const locks = ['Street', 'Flat'].map((name) => ({ device_type: 'ttlock_lock', name }))
    const workspace = await makeWorkspace(t, latchkey.url, { locks })
    const [street, flat] = workspace.locks
    await workspace.emulator('faults/create', { operation: 'set', device_id: flat, outcome: { fail: {} } })

    const arrive = async (name) =>
      await workspace.seam.accessCodes.createMultiple({
        device_ids: workspace.locks,
        name,
        starts_at: '2026-03-02T12:00:00Z',
        ends_at: '2026-03-05T11:00:00Z',
        use_backup_access_code_pool: true,
      })
    const [ada, grace] = [await arrive('Ada'), await arrive('Grace')]
    assert.deepEqual(ada.map((code) => code.device_id), [street, flat])
    assert.deepEqual([new Set(ada.map(({ code }) => code)).size, new Set(grace.map(({ code }) => code)).size], [1, 1])
    assert.notEqual(ada[0].code, grace[0].code)

    await workspace.advance({ by: 'PT1S' })
    const look = async ({ access_code_id }) => await workspace.seam.accessCodes.get({ access_code_id })
    const [atStreet, atFlat] = await Promise.all(ada.map(look))
    assert.deepEqual([atStreet.status, errors(atStreet)], ['set', []])
    assert.deepEqual([atFlat.status, errors(atFlat)], ['setting', ['failed_to_set_on_device']])

    // The pool was filled before the fault, so a backup code is available.
    const { access_code_id } = atFlat
    const backup = await workspace.seam.accessCodes.pullBackupAccessCode({ access_code_id })
    assert.deepEqual([backup.device_id, backup.is_backup, backup.status], [flat, true, 'set'])
    assert.ok((await workspace.memory(flat)).some((held) => held.code === backup.code))
  })

  for (const [device_type, programmedAt] of [
    ['ttlock_lock', '2026-03-20T15:00:00.250Z'],
    ['schlage_lock', '2026-03-20T15:00:00.250Z'],
    ['smartthings_lock', '2026-03-23T14:00:00.250Z'],
  ]) {
    test(`a stay's code is put on a ${device_type} at ${programmedAt}`, async (t) => {
      const workspace = await makeWorkspace(t, latchkey.url, { locks: [{ device_type }] })
      const [lock] = workspace.locks
      await workspace.seam.accessCodes.create({
        device_id: lock,
        starts_at: '2026-03-23T15:00:00Z',
        ends_at: '2026-03-26T11:00:00Z',
      })
      await workspace.advance({ until: 'next' }) // the lock begins
      assert.deepEqual(await workspace.memory(lock), [])
      const { now } = await workspace.advance({ until: 'next' }) // and is done
      assert.deepEqual([now, (await workspace.memory(lock)).length], [programmedAt, 1])
    })
  }
})

// Tests with workspaces of their own can run in parallel.
describe('workspaces have clocks of their own', { concurrency: true }, () => {
  for (const [days, history] of [
    [0, ['created']],
    [1, ['created', 'set_on_device']],
    [2, ['created', 'set_on_device', 'removed_from_device', 'deleted']],
  ]) {
    test(`day ${days}`, async (t) => {
      const workspace = await makeWorkspace(t, latchkey.url)
      const code = await workspace.seam.accessCodes.create({
        device_id: workspace.locks[0],
        code: '4826',
        starts_at: '2026-03-02T12:00:00Z',
        ends_at: '2026-03-04T11:00:00Z',
      })
      await workspace.advance({ by: `P${days}D` })
      assert.deepEqual(await workspace.events(code), history)
    })
  }
})
