/** What a {@link LatchkeyError} knows besides its message. */
export interface LatchkeyErrorOptions extends ErrorOptions {
  status?: number | undefined
  type?: string | undefined
}

/** Failure of this package or of a request to the control plane. The message names the cause and what to do about it. */
export class LatchkeyError extends Error {
  override readonly name = 'LatchkeyError'
  /** HTTP status of the response, if there was one. */
  readonly status: number | undefined
  /** Type of the error in the response, such as `device_not_found`, if there was one. */
  readonly type: string | undefined

  constructor(message: string, options: LatchkeyErrorOptions = {}) {
    super(message, options)
    this.status = options.status
    this.type = options.type
  }
}

/** Returns the message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
