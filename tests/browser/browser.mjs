// Chromium and workspaces for the tests.

import assert from "node:assert/strict"
import { SeamHttp } from "@seamapi/http"
import { chromium } from "playwright-core"

export const { BASE_URL, CHROMIUM } = process.env

/** Instant at which the clocks of the workspaces are held, and a stay that begins three days later. */
export const NOON = "2026-03-02T12:00:00Z"
export const STAY = { starts_at: "2026-03-05T15:00:00Z", ends_at: "2026-03-08T11:00:00Z" }

export const DESKTOP = { viewport: { width: 1280, height: 800 } }
export const TELEPHONE = { viewport: { width: 360, height: 640 }, deviceScaleFactor: 3, isMobile: true, hasTouch: true }

let browser

export async function openBrowser() {
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] })
}

export async function closeBrowser() {
  await browser?.close()
}

/** Sends a request to the control plane. */
export async function control(path, parameters = {}, baseUrl = BASE_URL) {
  const response = await fetch(`${baseUrl}/_emulator/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(parameters),
  })
  const answer = await response.json()
  assert.ok(response.ok, JSON.stringify(answer))
  return answer
}

/** Creates a workspace. Returns the answer, with the id and a client of the official SDK. */
export async function newWorkspace(parameters = {}) {
  const created = await control("workspaces/create", parameters)
  const seam = new SeamHttp({ apiKey: created.api_key, endpoint: BASE_URL })
  return { ...created, id: created.workspace.workspace_id, seam }
}

/** Creates a workspace with a held clock. `locks` is a number, or a list of locks. */
export const heldWorkspace = (locks = 1, more = {}) => newWorkspace({ clock: { held_at: NOON }, locks, ...more })

/** Opens a view of a workspace, and waits until it is shown. */
export async function open(page, { id }, view) {
  const hash = `#/w/${id}/${view}`
  await page.goto(`${BASE_URL}/_emulator/console${hash}`)
  await page.waitForFunction((expected) => document.body.dataset.ready === expected, hash)
}

/** Waits for a message with this text. */
export const notice = (page, text) => page.getByText(text).first().waitFor()

/** Runs a test with a new page of the browser. Checks that the browser reported no problem. */
export async function withPage(options, run) {
  const context = await browser.newContext(options)
  context.setDefaultTimeout(10_000)
  try {
    const page = await context.newPage()
    const problems = []
    page.on("pageerror", (error) => problems.push(String(error)))
    page.on("console", (message) => {
      // The browser reports each response with an error status in its console, also those that a test expects.
      const isStatus = message.text().includes("Failed to load resource")
      if (["error", "warning"].includes(message.type()) && !isStatus) problems.push(message.text())
    })
    await run(page)
    assert.deepEqual(problems, [])
  } finally {
    await context.close()
  }
}
