// The workspace itself: its credentials, its settings, its snapshots, reset and deletion.

import { exported } from "./api.js"
import { button, copied, dangerButton, field, form, h, keyed, table } from "./dom.js"
import { instant } from "./format.js"

export async function workspace({ session, signal }) {
  const { workspace: one } = session
  const rows = [
    ["Workspace id", one.workspace_id], ["API key", one.api_key], ["Publishable key", one.publishable_key],
    ["Personal access token", one.personal_access_token], ["Seed", one.seed], ["Created", instant(one.created_at)],
    ["Is deleted at", one.expires_at && instant(one.expires_at)],
  ].filter(([, value]) => value)
  return [
    h("h1", {}, "Workspace"),
    h("dl", { class: "facts" }, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, h("code", {}, value), " ", button("Copy", () => copied(value), { class: "quiet", "aria-label": `Copy ${name}` }))])),
    h("p", { class: "actions" },
      dangerButton("Reset the workspace", "Really reset?", async () => {
        await session.control("workspaces/reset")
        return "The workspace is as it was when it was created."
      }),
      dangerButton("Delete the workspace", "Really delete?", async () => {
        await session.control("workspaces/delete")
        location.hash = "#/"
        return "The workspace was deleted."
      })),
    await snapshots(session, signal),
    settings(session),
  ]
}

async function snapshots(session, signal) {
  const list = table("Snapshots", ["Time in the workspace", "Created", "Id", "Actions"])
  const none = h("p", { class: "hint" }, "No snapshots yet.")
  const refresh = session.onChange(async () => {
    const { snapshots: found } = await session.inspect("snapshots/list")
    none.hidden = found.length > 0
    list.element.hidden = found.length === 0
    keyed(list.body, found, (one) => one.snapshot_id, (one) => row(session, one))
  }, signal)
  await refresh.run()
  const create = button("Create a snapshot", async () => {
    await session.control("snapshots/create")
    return "The snapshot was created."
  })
  const add = form("Import a snapshot", "Import", async (values, element) => {
    const [file] = element.querySelector("input").files
    if (!file) throw new Error("Choose a file that was exported before.")
    const { snapshot } = parsed(await file.text())
    await session.control("snapshots/import", { snapshot })
    return "The snapshot was imported. Restore it to use it."
  }, field("File", "file", { type: "file", accept: ".json,application/json" }))
  return h("section", { "aria-labelledby": "snapshots" }, h("h2", { id: "snapshots" }, "Snapshots"),
    h("p", {}, "A snapshot stores everything in the workspace, with its clock, except keys, and the secrets and deliveries of webhooks."), create, none, list.element,
    h("details", { class: "panel" }, h("summary", {}, "Import a snapshot"), add))
}

function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error("This file is not JSON.")
  }
}

/** Saves a snapshot as a file. */
async function download(session, snapshotId) {
  const link = h("a", { href: URL.createObjectURL(await exported(session.id, snapshotId)), download: `snapshot-${snapshotId}.json` })
  link.click()
  URL.revokeObjectURL(link.href)
}

function row(session, one) {
  const snapshot_id = one.snapshot_id
  return h("tr", {}, h("th", { scope: "row" }, instant(one.now)), h("td", {}, instant(one.created_at), one.is_imported && " (imported)"),
    h("td", {}, h("code", { class: "id" }, snapshot_id)),
    h("td", { class: "actions" },
      dangerButton("Restore", "Really restore?", async () => {
        const { now } = await session.control("snapshots/restore", { snapshot_id })
        return `The workspace is as it was at ${instant(now)}.`
      }),
      button("Export", () => download(session, snapshot_id)),
      dangerButton("Delete", "Really delete?", async () => {
        await session.control("snapshots/delete", { snapshot_id })
        return "The snapshot was deleted."
      })))
}

/** The server does not say which setting is chosen. */
const CHOOSE = ["", "choose…"]

function settings(session) {
  return h("section", { "aria-labelledby": "settings" }, h("h2", { id: "settings" }, "Settings"),
    h("div", { class: "row" },
      form("Duration of lock operations", "Set", async ({ programming, after }) => {
        await session.control("programming/set", { programming: programming === "after" ? { after: after ?? "PT0.25S" } : programming })
        return "The duration of lock operations was set."
      }, field("Lock operations take", "programming", { value: "", required: true }, [CHOOSE, ["after", "a duration"], ["at_once", "no time"], ["by_hand", "until they are finished by hand"]]),
      field("Duration", "after", { placeholder: "PT0.25S" })),
      form("Unknown parameters", "Set", async ({ strictness }) => {
        await session.control("strictness/set", { strictness })
        return "The rule for unknown parameters was set."
      }, field("Unknown parameters", "strictness", { value: "", required: true }, [CHOOSE, ["seam", "are ignored, as at Seam"], ["strict", "are rejected"]])),
      form("Rate limits", "Set", async ({ limits }) => {
        await session.control("rate_limits/set", { limits })
        return "The rate limits were set."
      }, field("Rate limits", "limits", { value: "", required: true }, [CHOOSE, ["off", "off"], ["seam", "as at Seam"]]))))
}
