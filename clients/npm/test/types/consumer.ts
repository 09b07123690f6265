// A user's test in TypeScript. types.test.mjs compiles it with several settings; it is not run.

import { type Latchkey, LatchkeyError, startLatchkey, type Workspace } from 'latchkey-seam'

export async function useEverything(): Promise<void> {
  const latchkey: Latchkey = await startLatchkey({ args: ['--programming', 'at_once'], startTimeout: 60_000 })
  const workspace: Workspace = await latchkey.createWorkspace({
    clock: { held_at: '2026-03-02T12:00:00Z' },
    locks: [{ device_type: 'schlage_lock', name: 'Cellar', max_active_codes_supported: 1 }],
  })
  const { now, transitions } = await workspace.advance('72h')
  const time: string = now
  const count: number = transitions
  await workspace.advance({ until: 'quiet', wait_for_webhooks: true })
  const fault = await workspace.fault({ operation: 'set', outcome: { fail: { error_code: 'provider_issue' } }, times: 1 })
  const used: number = fault.used
  await workspace.emulator('programming/set', { programming: 'by_hand' })
  const { reason } = await workspace.enterCode('id', '1234')
  const denied: boolean = reason === 'expired_code'
  const status: number | undefined = new LatchkeyError('').status
  await workspace[Symbol.asyncDispose]()
  await latchkey.stop()
  console.log(time, count, used, denied, status, workspace.devices.length, workspace.seam)
}

export async function isRejected(latchkey: Latchkey, workspace: Workspace): Promise<void> {
  // @ts-expect-error: no such parameter
  await latchkey.createWorkspace({ lock: 1 })
  // @ts-expect-error: no such device type
  await latchkey.createWorkspace({ locks: [{ device_type: 'my_lock' }] })
  // @ts-expect-error: no such operation
  await workspace.fault({ operation: 'sets', outcome: 'never' })
  // @ts-expect-error: `outcome` is missing
  await workspace.httpFault({ times: 1 })
  // @ts-expect-error: no such path
  await workspace.emulator('clock/advances', {})
  // @ts-expect-error: no such option
  await startLatchkey({ port: 1 })
}
