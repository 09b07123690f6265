// Requests to the control plane and to Seam's API, and the stream of requests and events.

/** Error response, or no response. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message)
    this.status = status
  }
}

const TOKEN = "latchkey-token"

/** Admin token or API key that the user has entered. It is kept as long as the tab is open. */
export function token() {
  return sessionStorage.getItem(TOKEN) ?? ""
}

export function setToken(value) {
  if (value) sessionStorage.setItem(TOKEN, value)
  else sessionStorage.removeItem(TOKEN)
}

async function send(path, headers, body, options) {
  let response
  try {
    response = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers: body === undefined ? headers : { ...headers, "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      ...options,
    })
  } catch (error) {
    if (error.name === "AbortError") throw error
    const isHeader = Object.values(headers).some((value) => /[^\x20-\x7e]/.test(value))
    throw isHeader ? new ApiError("The credential contains a character that no credential has.", 401) : new ApiError("Latchkey does not respond. Is it running?", 0)
  }
  return response
}

/** Error of a workspace that does not exist any more. */
export const deletedWorkspace = () => new ApiError("This workspace does not exist, or it was deleted.", 404)

async function result(response) {
  const text = await response.text()
  let content
  try {
    content = JSON.parse(text)
  } catch {
    throw new ApiError(`The response with status ${response.status} is not JSON.`, response.status)
  }
  if (response.ok) return content
  throw new ApiError(content.error?.message ?? `Status ${response.status}`, response.status)
}

function credential() {
  return token() ? { authorization: `Bearer ${token()}` } : {}
}

/** Sends a request to the control plane: `path` is without `/_emulator/`. */
export async function control(path, parameters = {}) {
  return result(await send(`/_emulator/${path}`, credential(), parameters))
}

/** Returns the clock of a workspace. */
export async function clockOf(workspaceId) {
  const response = await send(`/_emulator/clock?workspace_id=${workspaceId}`, credential())
  if (response.status === 404) throw deletedWorkspace()
  return result(response)
}

/** Returns a snapshot as a file. */
export async function exported(workspaceId, snapshotId) {
  const response = await send(`/_emulator/snapshots/export?workspace_id=${workspaceId}&snapshot_id=${snapshotId}`, credential())
  return response.ok ? response.blob() : result(response)
}

/** Credential of a workspace for Seam's API. */
function credentialOf(workspace) {
  return { authorization: `Bearer ${workspace.personal_access_token}`, "seam-workspace": workspace.workspace_id }
}

/** The credential of a workspace is deleted with it. */
async function seamResult(response) {
  if (response.status === 401) throw deletedWorkspace()
  return result(response)
}

/** Reads with Seam's API. The request is not in the request log, and no HTTP fault is applied to it. */
export async function read(workspace, path, parameters = {}) {
  return seamResult(await send(path, { ...credentialOf(workspace), "latchkey-observer": "true" }, parameters))
}

/** Sends a request to Seam's API, as an application does. */
export async function seam(workspace, path, parameters = {}) {
  return seamResult(await send(path, credentialOf(workspace), parameters))
}

/** Returns a curl command for a logged request of a workspace. */
export function curl(workspace, request, quoted) {
  const query = Object.entries(request.query ?? {}).flatMap(([name, value]) =>
    [value].flat().map((one) => `${encodeURIComponent(name)}=${encodeURIComponent(one)}`))
  const url = location.origin + request.path + (query.length > 0 ? `?${query.join("&")}` : "")
  const parts = ["curl"]
  if (request.method !== "GET") parts.push(`-X ${quoted(request.method)}`)
  parts.push(quoted(url))
  if (workspace.api_key) parts.push(`-H ${quoted(`Authorization: Bearer ${workspace.api_key}`)}`)
  else for (const [name, value] of Object.entries(credentialOf(workspace))) parts.push(`-H ${quoted(`${name}: ${value}`)}`)
  if (request.body !== null) {
    parts.push(`-H ${quoted("Content-Type: application/json")}`)
    parts.push(`--data-raw ${quoted(typeof request.body === "string" ? request.body : JSON.stringify(request.body))}`)
  }
  return parts.join(" ")
}

/** Maximum number of messages in a second. More would make the page and the server slow. */
const MAX_PER_SECOND = 300

/**
 * Follows the requests and events of a workspace until `signal` is aborted, and connects again after a failure. `last` is
 * the cursor of the last known request. `take` gets the type, the data and the id of each message, `state` gets true when
 * the stream is open.
 */
export async function follow(workspaceId, last, signal, take, state) {
  while (!signal.aborted) {
    try {
      const headers = last ? { ...credential(), "last-event-id": last } : credential()
      const query = `workspace_id=${workspaceId}&max_per_second=${MAX_PER_SECOND}`
      const response = await send(`/_emulator/stream?${query}`, headers, undefined, { signal })
      if (!response.ok) await result(response)
      state(true)
      for await (const message of messages(response.body)) {
        last = message.id ?? last
        take(message.event, message.data, message.id)
      }
    } catch {
      // The next attempt follows.
    }
    if (signal.aborted) return
    state(false)
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
}

/** Splits a stream of server-sent events into messages. */
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ""
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return
    text += value
    const parts = text.split("\n\n")
    text = parts.pop()
    for (const part of parts) {
      const message = {}
      for (const line of part.split("\n")) {
        const colon = line.indexOf(":")
        if (colon > 0) message[line.slice(0, colon)] = line.slice(colon + 1).replace(/^ /, "")
      }
      if (message.data) yield { ...message, data: JSON.parse(message.data) }
    }
  }
}
