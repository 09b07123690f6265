// The frame of the page: the address selects a view, and the header shows the workspace, its views and its clock.

import { ApiError, control, deletedWorkspace, setToken, token } from "./api.js"
import { clockBar } from "./clock.js"
import { attempt, button, clearErrors, field, form, h, setText } from "./dom.js"
import { Session } from "./session.js"
import { activity } from "./activity.js"
import { code } from "./code.js"
import { faults } from "./faults.js"
import { grant } from "./grant.js"
import { grants } from "./grants.js"
import { lock } from "./lock.js"
import { locks } from "./locks.js"
import { timeline } from "./timeline.js"
import { webhooks } from "./webhooks.js"
import { workspace } from "./workspace.js"
import { workspaces } from "./workspaces.js"

/** Views of a workspace: the part of the address, the name in the navigation, the function. */
const VIEWS = new Map(Object.entries({
  locks: ["Locks", locks],
  grants: ["Access grants", grants],
  timeline: ["Time line", timeline],
  activity: ["Activity", activity],
  webhooks: ["Webhooks", webhooks],
  faults: ["Faults", faults],
  workspace: ["Workspace", workspace],
}))

/** Views of one thing. */
const DETAILS = new Map(Object.entries({ locks: lock, codes: code, grants: grant }))

let session
let bar
/** Ends the listeners of the open view. */
let leave = new AbortController()

/** Parses the address: `#/w/<workspace_id>/<view>/<id>?filter=…`. */
function address() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?")
  const [kind, id, view, item] = path.split("/")
  return kind === "w" && id ? { id, view: view || "locks", item, query: new URLSearchParams(query) } : {}
}

function header(view) {
  const element = document.getElementById("header")
  const parts = [h("a", { class: "brand", href: "#/" }, "Latchkey")]
  if (session) {
    const link = ([name, [label]]) => h("a", {
      href: `#/w/${session.id}/${name}`, "aria-current": name === view ? "page" : undefined,
    }, label)
    parts.push(h("a", { class: "current", href: "#/", title: "Choose another workspace" }, session.workspace.name))
    parts.push(h("nav", { "aria-label": "Workspace" }, [...VIEWS].map(link)))
    parts.push(connection())
  } else {
    parts.push(h("span", { class: "spacer" }))
  }
  parts.push(h("a", { href: "/docs", target: "_blank", rel: "noopener" }, "API reference"))
  if (token()) parts.push(button("Forget the token", forget, { class: "quiet" }))
  element.replaceChildren(...parts)
}

function connection() {
  const element = h("span", { class: "connection", role: "status" })
  const shown = session
  let problem
  const update = () => {
    setText(element, problem ? `Not up to date: ${problem}` : shown.isOpen ? "Live" : "Connecting…")
    element.dataset.open = String(shown.isOpen && !problem)
  }
  const { signal } = leave
  shown.addEventListener("connection", update, { signal })
  shown.addEventListener("clock", () => { problem = undefined; update() }, { signal })
  shown.addEventListener("failure", ({ detail: error }) => {
    // The credential is not accepted any more, or what the page shows does not exist any more.
    if (error.status === 401 || error.status === 404) present(error)
    else { problem = error.message; update() }
  }, { signal })
  update()
  return element
}

/** Opens the session of a workspace, if it is not open. Meanwhile the address may have changed. */
async function open(id, isCurrent) {
  if (session?.id === id) return
  close()
  if (!id) return
  const { workspaces: all } = await control("workspaces/list")
  const found = all.find((one) => one.workspace_id === id)
  if (!found) throw deletedWorkspace()
  const opened = new Session(found)
  try {
    await opened.start()
  } catch (error) {
    opened.stop()
    throw error
  }
  if (isCurrent()) session = opened
  else opened.stop()
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
      await navigate()
    }, field("Admin token, or the API key of a workspace", "token", { type: "password", required: true })))
}

function failure(error) {
  if (error.status === 401) return tokenForm(error.message)
  return h("section", { class: "narrow" }, h("h1", {}, "This does not work"), h("p", { role: "alert" }, error.message),
    h("p", {}, h("a", { href: "#/" }, "All workspaces"), " "), button("Try again", show))
}

/** Shows an error instead of the view. */
function present(error) {
  leave.abort()
  leave = new AbortController()
  close()
  render(failure(error))
}

/** Shows what the address says. */
async function show() {
  leave.abort()
  leave = new AbortController()
  const { signal } = leave
  const isCurrent = () => !signal.aborted
  const { id, view, item, query } = address()
  let content
  try {
    await open(id, isCurrent)
    if (!isCurrent()) return
    const find = item ? DETAILS.get(view) : VIEWS.get(view)?.[1]
    if (id && !find) throw new ApiError("The console has no such page.", 404)
    content = await (id ? find : workspaces)({ session, signal, item, query })
  } catch (error) {
    if (isCurrent()) present(error)
    return
  }
  if (isCurrent()) render(content, view)
}

function render(content, view) {
  const main = document.getElementById("main")
  header(view === "codes" ? "locks" : view)
  if (session && !bar) bar = clockBar(session)
  document.getElementById("clock")?.remove()
  main.replaceChildren(...[content].flat())
  if (session) main.before(h("div", { id: "clock" }, bar.element))
  const heading = main.querySelector("h1")
  document.title = heading ? `${heading.textContent} – Latchkey` : "Latchkey"
  // Programs that use the page, such as tests, see that it is complete.
  document.body.dataset.ready = location.hash
}

/** Returns the focus to the start of the page, so that a screen reader reads the new view. */
async function navigate() {
  clearErrors()
  await show()
  document.getElementById("main").focus({ preventScroll: true })
  scrollTo(0, 0)
}

document.querySelector(".skip").addEventListener("click", (event) => {
  // The address is that of the view.
  event.preventDefault()
  document.getElementById("main").focus()
})
addEventListener("hashchange", () => attempt(navigate))
show()
