/**
 * Latchkey for test suites: a server that stands in for Seam Connect, and test workspaces on it.
 *
 * @packageDocumentation
 */

export type { ControlParameters, ControlPath, ControlResponse } from './control.js'
export { LatchkeyError } from './errors.js'
export { type Latchkey, type LatchkeyOptions, startLatchkey, type WorkspaceParameters } from './latchkey.js'
export type { Device, SeamEvent, SeamHttp } from './seam.js'
export type { EventFilter, Move, Workspace } from './workspace.js'
