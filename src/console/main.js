// The frame of the page: the address selects a view, and the header shows the workspace, its views and its clock.

import { ApiError, control, setToken, token } from "./api.js"
import { clockBar } from "./clock.js"
import { attempt, button, field, form, h } from "./dom.js"
import { Session } from "./session.js"
import { activity } from "./activity.js"
import { code } from "./code.js"
import { faults } from "./faults.js"
import { lock } from "./lock.js"
import { locks } from "./locks.js"
import { timeline } from "./timeline.js"
import { webhooks } from "./webhooks.js"
import { workspace } from "./workspace.js"
import { workspaces } from "./workspaces.js"

/** Views of a workspace: the part of the address, the name in the navigation, the function. */
const VIEWS = [
  ["locks", "Locks", locks],
  ["timeline", "Time line", timeline],
  ["activity", "Activity", activity],
  ["webhooks", "Webhooks", webhooks],
  ["faults", "Faults", faults],
  ["workspace", "Workspace", workspace],
]

/** Views of one thing: they belong to a view of the navigation. */
const DETAILS = { locks: lock, codes: code }

let session
let bar
/** Ends the listeners of the open view. */
let leave = new AbortController()

/** Parses the address: `#/w/<workspace_id>/<view>/<id>?filter=…`. */
function address() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?")
  const [kind, id, view, item] = path.split("/").map(decodeURIComponent)
  return kind === "w" && id ? { id, view: view || "locks", item, query: new URLSearchParams(query) } : {}
}

function header(view) {
  const element = document.getElementById("header")
  const parts = [h("a", { class: "brand", href: "#/" }, "Latchkey")]
  if (session) {
    const link = ([name, label]) => h("a", {
      href: `#/w/${session.id}/${name}`, "aria-current": name === view ? "page" : undefined,
    }, label)
    parts.push(h("a", { class: "current", href: "#/", title: "Choose another workspace" }, session.workspace.name))
    parts.push(h("nav", { "aria-label": "Workspace" }, VIEWS.map(link)))
    parts.push(connection())
  } else {
    parts.push(h("span", { class: "spacer" }))
  }
  parts.push(h("a", { class: "reference", href: "/docs" }, "API reference"))
  if (token()) parts.push(button("Forget the token", forget, { class: "quiet" }))
  element.replaceChildren(...parts)
}

function connection() {
  const element = h("span", { class: "connection", role: "status" })
  const update = () => {
    const text = session?.isOpen ? "Live" : "Connecting…"
    if (element.textContent !== text) element.textContent = text
    element.dataset.open = String(session?.isOpen ?? false)
  }
  session.addEventListener("connection", update, { signal: leave.signal })
  update()
  return element
}

/** Opens the session of a workspace, if it is not open. */
async function open(id) {
  if (session?.id === id) return
  close()
  if (!id) return
  const { workspaces: all } = await control("workspaces/list")
  const found = all.find((one) => one.workspace_id === id)
  if (!found) throw new ApiError("This workspace does not exist, or it was deleted.", 404)
  session = new Session(found)
  await session.start()
}

function close() {
  session?.stop()
  session = undefined
  bar?.stop()
  bar = undefined
}

async function forget() {
  setToken("")
  close()
  await show()
}

/** Form for the admin token or an API key. */
function tokenForm(message) {
  return h("section", { class: "narrow" }, h("h1", {}, "Credential needed"), h("p", {}, message),
    form("Credential", "Continue", async ({ token: value }) => {
      setToken(value)
      await show()
    }, field("Admin token, or the API key of a workspace", "token", { type: "password", required: true })))
}

function failure(error) {
  if (error.status === 401) return tokenForm(error.message)
  return h("section", { class: "narrow" }, h("h1", {}, "This does not work"), h("p", { role: "alert" }, error.message),
    h("p", {}, h("a", { href: "#/" }, "All workspaces"), " "), button("Try again", show))
}

let shown = 0

/** Shows what the address says. */
async function show() {
  shown += 1
  const number = shown
  leave.abort()
  leave = new AbortController()
  const main = document.getElementById("main")
  const { id, view, item, query } = address()
  let content
  try {
    await open(id)
    const context = { session, signal: leave.signal, item, query, reload: show }
    const find = item ? DETAILS[view] : VIEWS.find(([name]) => name === view)?.[2]
    if (id && !find) throw new ApiError("The console has no such page.", 404)
    content = await (id ? find : workspaces)(context)
  } catch (error) {
    if (error.status === 401 || error.status === 404) close()
    content = failure(error)
  }
  if (number !== shown) return
  header(view === "codes" ? "timeline" : view)
  if (session && !bar) bar = clockBar(session)
  document.getElementById("clock")?.remove()
  main.replaceChildren(...[content].flat())
  if (session) main.before(h("div", { id: "clock" }, bar.element))
  const heading = main.querySelector("h1")
  document.title = heading ? `${heading.textContent} – Latchkey` : "Latchkey"
  document.body.dataset.ready = location.hash
}

/** Returns the focus to the start of the page, so that a screen reader reads the new view. */
async function navigate() {
  await show()
  document.getElementById("main").focus({ preventScroll: true })
  scrollTo(0, 0)
}

addEventListener("hashchange", () => attempt(navigate))
show()
