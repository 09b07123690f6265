// Uses the types of the official client through a workspace. Compiled only where @seamapi/http is installed.

import type { Workspace } from 'latchkey-seam'

export async function useClient(workspace: Workspace): Promise<void> {
  const code = await workspace.seam.accessCodes.get({ access_code_id: '' })
  const pin: string | null = code.code
  const id: string = workspace.devices[0]!.device_id
  const [event] = await workspace.events({ event_type: 'access_code.created' })
  const type: 'access_code.created' | undefined = event?.event_type === 'access_code.created' ? event.event_type : undefined
  console.log(pin, id, type)
  // @ts-expect-error: no such event
  await workspace.events({ event_type: 'access_code.creates' })
  // @ts-expect-error: no such method
  await workspace.seam.accessCodes.gets({})
}
