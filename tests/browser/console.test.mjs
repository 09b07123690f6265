// Tests the console in Chromium: what a tester sees and does in each of its views. Each test has its own workspace.

import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { after, before, test } from "node:test"
import { promisify } from "node:util"
import { BASE_URL, closeBrowser, control, DESKTOP, heldWorkspace, notice, open, openBrowser, STAY, withPage } from "./browser.mjs"

const run = promisify(execFile)

before(openBrowser)
after(closeBrowser)

test("console is the answer to a browser at / and not to other clients", async () => {
  const get = (path, accept) => fetch(BASE_URL + path, { headers: { accept } })
  const page = await get("/", "text/html,*/*;q=0.8")
  assert.equal(page.status, 200)
  assert.match(page.headers.get("vary"), /\bAccept\b/i)
  assert.match(page.headers.get("content-security-policy"), /default-src 'none'/)
  assert.equal(await page.text(), await (await get("/_emulator/console", "*/*")).text())
  for (const accept of ["*/*", "application/json"]) {
    const other = await get("/", accept)
    assert.equal(other.status, 404)
    assert.equal((await other.json()).error.type, "not_found")
    assert.doesNotMatch(other.headers.get("vary") ?? "", /accept\b/i)
  }
})

test("console creates a workspace, and shows what the SDK does in it without a reload", async () => {
  await withPage(DESKTOP, async (page) => {
    await page.goto(`${BASE_URL}/`)
    await page.getByText("Create a workspace").first().click()
    const form = page.getByRole("form", { name: "Create a workspace" })
    await form.getByLabel("Name", { exact: true }).first().fill("Seaside")
    await form.getByLabel("Clock held at").fill("2026-03-02 12:00")
    await form.locator("[name=lock_name]").fill("Front Door")
    await form.getByLabel("Type").selectOption("yale_lock")
    await form.getByRole("button", { name: "Create", exact: true }).click()
    await page.getByRole("link", { name: "Front Door" }).waitFor()
    await page.getByText("2026-03-02 12:00:00 UTC").waitFor()
    const id = page.url().match(/#\/w\/([0-9a-f-]+)/)[1]
    const { workspaces } = await control("workspaces/list")
    const { api_key } = workspaces.find((one) => one.workspace_id === id)
    const { SeamHttp } = await import("@seamapi/http")
    const seam = new SeamHttp({ apiKey: api_key, endpoint: BASE_URL })
    const [device] = await seam.devices.list()
    assert.equal(device.device_type, "yale_lock")

    await page.getByRole("link", { name: "Time line" }).click()
    await page.getByRole("region", { name: "Front Door" }).waitFor()
    await seam.accessCodes.create({ device_id: device.device_id, name: "Ada", ...STAY })
    const bar = page.getByRole("link", { name: /^Ada: unset/ })
    await bar.waitFor()

    // Past the start: the bar turns to set.
    await page.getByText("More", { exact: true }).click()
    await page.getByLabel("To an instant (UTC)").fill("2026-03-05 15:00:01")
    await page.getByRole("button", { name: "Move to" }).click()
    await page.getByRole("link", { name: /^Ada: set/ }).waitFor()
    assert.equal(await page.locator(".timeline .bar[data-status=set] .usable").count(), 1)

    await page.getByRole("link", { name: "Activity" }).click()
    await page.getByRole("button", { name: /access_code.set_on_device/ }).waitFor()
  })
})

test("console shows a lock that goes offline, and switches it on again", async () => {
  const workspace = await heldWorkspace([{ device_type: "august_lock", name: "Cellar" }])
  const [{ device_id }] = workspace.devices
  await withPage(DESKTOP, async (page) => {
    await open(page, workspace, "locks")
    await page.getByText("online", { exact: true }).waitFor()
    await control("devices/update", { workspace_id: workspace.id, device_id, online: false })
    await page.getByText("offline", { exact: true }).waitFor()
    await page.getByRole("link", { name: "Cellar" }).click()
    await page.getByRole("switch", { name: "Online", checked: false }).click()
    await page.getByRole("switch", { name: "Online", checked: true }).waitFor()
    assert.equal((await workspace.seam.devices.get({ device_id })).properties.online, true)
  })
})

test("lock page marks what differs between the request and the memory of the lock", async () => {
  const workspace = await heldWorkspace()
  const [{ device_id }] = workspace.devices
  const code = await workspace.seam.accessCodes.create({ device_id, name: "Ada", code: "1357" })
  await control("clock/advance", { workspace_id: workspace.id, by: "PT1M" })
  await withPage(DESKTOP, async (page) => {
    await open(page, workspace, `locks/${device_id}`)
    await page.getByRole("row", { name: /Ada.*set/ }).waitFor()
    assert.equal(await page.locator("mark").count(), 0)
    // An offline lock keeps the old PIN, and still accepts it.
    await control("devices/update", { workspace_id: workspace.id, device_id, online: false })
    await workspace.seam.accessCodes.update({ access_code_id: code.access_code_id, code: "2468", attempt_for_offline_device: true })
    await page.locator("mark", { hasText: "1357" }).waitFor()
    await page.getByRole("form", { name: "Enter a PIN at the keypad" }).getByLabel("PIN").fill("1357")
    await page.getByRole("button", { name: "Enter", exact: true }).click()
    await notice(page, /unlocked|opens/i)
  })
})

/** Prepared situations: each returns the lock and the name of the code, and has the text that explains it. */
const SITUATIONS = [
  ["offline", /lock is offline/, async ({ seam, id, devices: [{ device_id }] }) => {
    await control("devices/update", { workspace_id: id, device_id, online: false })
    await seam.accessCodes.create({ device_id, name: "Ada", attempt_for_offline_device: true })
  }],
  ["memory full", /memory of the lock is full/, async ({ seam, id, devices: [{ device_id }] }) => {
    await control("devices/update", { workspace_id: id, device_id, max_active_codes_supported: 1 })
    await seam.accessCodes.create({ device_id, name: "Ada", ...STAY })
    await control("locks/add_code", { workspace_id: id, device_id, code: "9753" })
    await control("clock/advance", { workspace_id: id, to: "2026-03-05T15:00:01Z" })
  }],
  ["duplicate", /already stores this PIN/, async ({ seam, id, devices: [{ device_id }] }) => {
    await seam.accessCodes.create({ device_id, name: "Ada", code: "1357", ...STAY })
    await control("locks/add_code", { workspace_id: id, device_id, code: "1357" })
    await control("clock/advance", { workspace_id: id, to: "2026-03-05T15:00:01Z" })
  }],
  ["fault", /fault/i, async ({ seam, id, devices: [{ device_id }] }) => {
    await control("faults/create", { workspace_id: id, operation: "set", outcome: "never" })
    await seam.accessCodes.create({ device_id, name: "Ada" })
  }],
  ["not yet time", /not yet time/, async ({ seam, devices: [{ device_id }] }) => {
    await seam.accessCodes.create({ device_id, name: "Ada", ...STAY, starts_at: "2026-03-20T15:00:00Z", ends_at: "2026-03-21T15:00:00Z" })
  }],
]

for (const [situation, explanation, prepare] of SITUATIONS) {
  test(`console explains why a code is not set: ${situation}`, async () => {
    const workspace = await heldWorkspace()
    await prepare(workspace)
    await control("clock/advance", { workspace_id: workspace.id, by: "PT1M" })
    await withPage(DESKTOP, async (page) => {
      await open(page, workspace, "locks")
      // As a tester does: the lock, then the code.
      await page.locator(".card a").first().click()
      await page.getByRole("link", { name: "Ada" }).click()
      await page.getByRole("heading", { name: "Why is this access code not set?" }).waitFor()
      await page.locator(".why", { hasText: explanation }).waitFor()
    })
  })
}

test("fault that is made in the console hits the next operation and is counted", async () => {
  const workspace = await heldWorkspace()
  const [{ device_id }] = workspace.devices
  await withPage(DESKTOP, async (page) => {
    await open(page, workspace, "faults")
    await page.getByRole("button", { name: "Create the fault" }).click()
    await page.getByRole("row", { name: /set.*all locks.*fails.*0 of 1 time/ }).waitFor()
    const code = await workspace.seam.accessCodes.create({ device_id, name: "Ada" })
    await control("clock/advance", { workspace_id: workspace.id, by: "PT1S" })
    await page.getByRole("row", { name: /set.*fails.*1 of 1 time.*exhausted/ }).waitFor()
    await open(page, workspace, `codes/${code.access_code_id}`)
    await page.getByText("failed_to_set_on_device").first().waitFor()
    await page.getByRole("button", { name: "Move the clock there" }).click()
    await notice(page, /The clock is at/)
    await page.getByRole("button", { name: "Next step" }).click()
    await page.getByText("The access code is set: it opens the door now.").waitFor()
  })
})

test("HTTP fault does not hit the requests of the console, and they are not in the request log", async () => {
  const workspace = await heldWorkspace()
  await control("http_faults/create", { workspace_id: workspace.id, outcome: { status: 503 }, times: 1 })
  await withPage(DESKTOP, async (page) => {
    for (const view of ["locks", "grants", "timeline", "activity", "webhooks", "faults", "workspace"]) await open(page, workspace, view)
    const { http_faults } = await control("http_faults/list", { workspace_id: workspace.id })
    assert.equal(http_faults[0].used, 0)
    assert.deepEqual((await control("requests", { workspace_id: workspace.id })).requests, [])
  })
})

test("request copied as curl sends the same request again", async () => {
  const workspace = await heldWorkspace()
  const [{ device_id }] = workspace.devices
  await withPage({ ...DESKTOP, permissions: ["clipboard-read", "clipboard-write"] }, async (page) => {
    await open(page, workspace, "activity")
    const name = "O'Neill \"$(id)\" `x`"
    await workspace.seam.accessCodes.create({ device_id, name })
    await page.getByRole("button", { name: /POST \/access_codes\/create/ }).click()
    await page.getByRole("button", { name: "Copy as curl" }).click()
    await notice(page, "The curl command was copied.")
    const command = await page.evaluate(() => navigator.clipboard.readText())
    const { stdout } = await run("bash", ["-c", `${command} --silent`])
    const again = JSON.parse(stdout)
    assert.equal(again.access_code.name, name)
    await page.getByRole("button", { name: /POST \/access_codes\/create/ }).nth(1).waitFor()
  })
})

test("activity shows what was sent before its stream was open, also as the first request", async () => {
  const workspace = await heldWorkspace()
  const [{ device_id }] = workspace.devices
  await withPage(DESKTOP, async (page) => {
    // The stream opens when the test calls `openStream`.
    await page.addInitScript(() => {
      const { promise, resolve } = Promise.withResolvers()
      const send = window.fetch
      window.openStream = resolve
      window.fetch = async (url, options) => {
        if (String(url).includes("/_emulator/stream")) await promise
        return send(url, options)
      }
    })
    await open(page, workspace, "activity")
    await workspace.seam.accessCodes.create({ device_id, name: "Ada" })
    await page.evaluate(() => window.openStream())
    await page.getByRole("button", { name: /POST \/access_codes\/create/ }).waitFor()
    await page.getByRole("button", { name: /access_code.created/ }).waitFor()
  })
})

test("activity shows validation issues and unknown parameters, and follows a code", async () => {
  const workspace = await heldWorkspace()
  const [{ device_id }] = workspace.devices
  const post = (path, body) => fetch(BASE_URL + path, {
    method: "POST", headers: { authorization: `Bearer ${workspace.api_key}`, "content-type": "application/json" }, body: JSON.stringify(body),
  })
  await withPage(DESKTOP, async (page) => {
    await open(page, workspace, "activity")
    await post("/access_codes/create", { device_id: 7 })
    await page.getByRole("button", { name: /400.*1 issue/ }).click()
    await page.getByRole("heading", { name: "Validation issues" }).waitFor()
    const { access_code } = await (await post("/access_codes/create", { device_id, end_at: "x" })).json()
    await page.getByRole("button", { name: /200.*1 unknown parameter/ }).click()
    await page.getByText("did you mean ends_at?").waitFor()
    await post("/devices/list", {})
    await page.getByRole("button", { name: /devices\/list/ }).waitFor()
    await page.getByRole("button", { name: `Follow ${access_code.access_code_id}` }).first().click()
    await page.getByRole("button", { name: /devices\/list/ }).waitFor({ state: "detached" })
    assert.equal(await page.getByRole("button", { name: /access_code.created/ }).count(), 1)
  })
})

test("webhook of the console gets deliveries, and one is sent again", async () => {
  const workspace = await heldWorkspace()
  const [{ device_id }] = workspace.devices
  const { createServer } = await import("node:http")
  const received = []
  const receiver = createServer((request, response) => {
    received.push(request.url)
    response.end("thanks")
  })
  await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve))
  try {
    await withPage(DESKTOP, async (page) => {
      await open(page, workspace, "webhooks")
      await page.getByText("Create a webhook").click()
      await page.getByLabel("URL", { exact: true }).fill(`http://127.0.0.1:${receiver.address().port}/hook`)
      await page.getByLabel("Event types").fill("access_code.created")
      await page.getByRole("button", { name: "Create", exact: true }).click()
      await page.getByRole("rowheader", { name: /\/hook/ }).waitFor()
      await workspace.seam.accessCodes.create({ device_id, name: "Ada" })
      await page.getByRole("row", { name: /access_code.created.*succeeded/ }).waitFor()
      await page.getByRole("button", { name: "Send again" }).click()
      await page.getByText("2 attempts").click()
      await page.getByText("thanks").first().waitFor()
      assert.equal(received.length, 2)
    })
  } finally {
    receiver.close()
  }
})

test("snapshot is created and restored, and the workspace reset and deleted", async () => {
  const workspace = await heldWorkspace()
  await withPage(DESKTOP, async (page) => {
    await open(page, workspace, "workspace")
    await page.getByRole("button", { name: "Create a snapshot" }).click()
    await page.getByRole("row", { name: /2026-03-02 12:00:00/ }).waitFor()
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export" }).click()])
    await page.getByText("Import a snapshot").click()
    await page.getByLabel("File").setInputFiles(await download.path())
    await page.getByRole("button", { name: "Import", exact: true }).click()
    await page.getByRole("row", { name: /imported/ }).waitFor()
    await page.getByRole("button", { name: "+1 day" }).click()
    await page.getByText("2026-03-03 12:00:00 UTC", { exact: true }).waitFor()
    await page.getByRole("button", { name: "Restore" }).first().click()
    await page.getByText("2026-03-02 12:00:00 UTC", { exact: true }).first().waitFor()
    await page.getByRole("button", { name: "Reset the workspace" }).click()
    await page.getByRole("button", { name: "Really reset?" }).click()
    await notice(page, /as it was when it was created/)
    await page.getByRole("button", { name: "Delete the workspace" }).click()
    await page.getByRole("button", { name: "Really delete?" }).click()
    await page.getByRole("heading", { name: "Workspaces" }).waitFor()
    const { workspaces } = await control("workspaces/list")
    assert.ok(workspaces.every((one) => one.workspace_id !== workspace.id))
  })
})

test("texts of clients are shown as text and never as markup", async () => {
  const evil = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"
  const workspace = await heldWorkspace([{ device_type: "august_lock", name: evil }], { name: evil })
  const [{ device_id }] = workspace.devices
  const code = await workspace.seam.accessCodes.create({ device_id, name: evil })
  await control("access_codes/add_error", { workspace_id: workspace.id, access_code_id: code.access_code_id, error_code: "provider_issue", message: evil })
  await workspace.seam.webhooks.create({ url: `http://127.0.0.1:9/?${encodeURIComponent(evil)}` })
  await withPage(DESKTOP, async (page) => {
    for (const view of ["locks", `locks/${device_id}`, `codes/${code.access_code_id}`, "timeline", "activity", "webhooks", "faults", "workspace"]) {
      await open(page, workspace, view)
      await page.getByText("<img src=x").first().waitFor()
      assert.equal(await page.locator("img, main script").count(), 0, view)
    }
    await page.goto(`${BASE_URL}/`)
    await page.getByRole("link", { name: "<img src=x" }).first().waitFor()
    assert.equal(await page.locator("img").count(), 0)
    assert.doesNotMatch(await page.title(), /broken/)
  })
})

test("curl command quotes everything that a client has sent", async () => {
  globalThis.location = { origin: "http://127.0.0.1:7326" }
  const { curl } = await import("../../src/console/api.js")
  const { quoted } = await import("../../src/console/format.js")
  const request = { method: "X`id`", path: "/a$(id)'b", query: { "x y": "&" }, body: "@/etc/hostname" }
  assert.equal(curl({ api_key: "key" }, request, quoted), [
    "curl", "-X 'X`id`'", "'http://127.0.0.1:7326/a$(id)'\\''b?x%20y=%26'", "-H 'Authorization: Bearer key'",
    "-H 'Content-Type: application/json'", "--data-raw '@/etc/hostname'",
  ].join(" "))
})

test("skip link moves the focus and keeps the view", async () => {
  const workspace = await heldWorkspace()
  await withPage(DESKTOP, async (page) => {
    await open(page, workspace, "faults")
    await page.getByRole("link", { name: "Skip to content" }).focus()
    await page.keyboard.press("Enter")
    assert.equal(await page.evaluate(() => document.activeElement.id), "main")
    assert.match(page.url(), /\/faults$/)
    await page.getByRole("heading", { name: "Faults", exact: true }).waitFor()
  })
})

test("confirmation of a deletion stays while the page is refreshed", async () => {
  const workspace = await heldWorkspace()
  const [{ device_id }] = workspace.devices
  const { access_code_id } = await workspace.seam.accessCodes.create({ device_id, name: "Ada" })
  await control("clock/advance", { workspace_id: workspace.id, by: "PT1S" })
  await withPage(DESKTOP, async (page) => {
    await open(page, workspace, `codes/${access_code_id}`)
    // The question is withdrawn after some seconds. The refreshes may take longer on a busy machine.
    await page.evaluate(() => {
      const { setTimeout } = window
      window.setTimeout = (action, delay) => setTimeout(action, delay === 5000 ? 60_000 : delay)
    })
    await page.getByRole("button", { name: "Delete the access code" }).click()
    const question = page.getByRole("button", { name: "Really delete?" })
    await question.focus()
    const top = await page.evaluate(() => scrollY)
    for (const name of ["Bob", "Cleo", "Dan"]) {
      await workspace.seam.accessCodes.update({ access_code_id, name })
      await control("clock/advance", { workspace_id: workspace.id, by: "PT1S" })
      await page.getByRole("heading", { name }).waitFor()
    }
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Really delete?")
    assert.equal(await page.evaluate(() => scrollY), top)
    await question.click()
    await notice(page, "The deletion was requested.")
  })
})

test("workspace that is deleted elsewhere is reported", async () => {
  const workspace = await heldWorkspace()
  await withPage(DESKTOP, async (page) => {
    await open(page, workspace, "locks")
    await page.locator(".card").waitFor()
    await control("workspaces/delete", { workspace_id: workspace.id })
    await page.getByText("This workspace does not exist, or it was deleted.").waitFor()
    await page.getByRole("link", { name: "All workspaces" }).click()
    await page.getByRole("heading", { name: "Workspaces" }).waitFor()
  })
})

test("failure of the server is shown, and the view recovers", async () => {
  const workspace = await heldWorkspace()
  await withPage(DESKTOP, async (page) => {
    const fail = (route) => route.fulfill({ status: 500, json: { error: { message: "out of order" }, ok: false } })
    await page.route("**/devices/list", fail)
    await open(page, workspace, "locks")
    await page.getByRole("alert").getByText("out of order").waitFor()
    await page.unroute("**/devices/list")
    await page.getByRole("button", { name: "Try again" }).click()
    await page.locator(".card").waitFor()
    await page.route("**/devices/list", fail)
    await page.getByText("Not up to date: out of order").waitFor()
    await page.unroute("**/devices/list")
    await page.getByText("Live", { exact: true }).waitFor()
  })
})

test("form that is submitted twice at once acts once", async () => {
  const workspace = await heldWorkspace()
  await withPage(DESKTOP, async (page) => {
    await open(page, workspace, "locks")
    await page.getByText("Add a lock").click()
    await page.getByRole("button", { name: "Add", exact: true }).dblclick()
    await page.locator(".card").nth(1).waitFor()
    assert.equal((await workspace.seam.devices.list()).length, 2)
  })
})

test("time line has its lock, length and start in the address", async () => {
  const workspace = await heldWorkspace(2)
  const [, { device_id }] = workspace.devices
  await workspace.seam.accessCodes.create({ device_id, name: "Ada", starts_at: "2026-09-05T15:00:00Z", ends_at: "2026-09-08T11:00:00Z" })
  await withPage(DESKTOP, async (page) => {
    await open(page, workspace, "timeline")
    await page.getByLabel("Lock", { exact: true }).selectOption(device_id)
    await page.getByLabel("Length").selectOption("year")
    await page.getByRole("button", { name: "Later" }).click()
    await page.getByRole("link", { name: /^Ada: / }).waitFor()
    const shared = page.url()
    await page.goto("about:blank")
    await page.goto(shared)
    await page.getByRole("link", { name: /^Ada: / }).waitFor()
    assert.equal(await page.getByRole("region").count(), 1 + 1, "one lock, and the clock")
    assert.match(page.url(), /length=year&from=2026-/)
  })
})

test("time line is used with the keyboard alone", async () => {
  const workspace = await heldWorkspace()
  const [{ device_id }] = workspace.devices
  for (const name of ["Ada", "Bob"]) await workspace.seam.accessCodes.create({ device_id, name, ...STAY })
  await withPage(DESKTOP, async (page) => {
    await open(page, workspace, "timeline")
    await page.getByRole("link", { name: /^Ada: / }).waitFor()
    const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? "")
    for (let presses = 0; !/^(Ada|Bob): /.test(await focused()); presses += 1) {
      assert.ok(presses < 40, "no bar by the Tab key")
      await page.keyboard.press("Tab")
    }
    const first = await focused()
    await page.keyboard.press("ArrowRight")
    assert.notEqual(await focused(), first)
    assert.match(await focused(), /^(Ada|Bob): /)
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { name: "Why is this access code not set?" }).waitFor()
  })
})

test("API reference works without a network, and sends requests to this server", async () => {
  const workspace = await heldWorkspace(2)
  await withPage(DESKTOP, async (page) => {
    const elsewhere = []
    page.on("request", (request) => request.url().startsWith(BASE_URL) || request.url().startsWith("data:") || elsewhere.push(request.url()))
    await page.goto(`${BASE_URL}/docs`)
    await page.getByRole("button", { name: "Authorize" }).first().click()
    const field = page.locator(".auth-container", { hasText: "api_key" }).first()
    await field.locator("input").first().fill(workspace.api_key)
    await field.getByRole("button", { name: "Apply credentials" }).first().click()
    await page.getByRole("button", { name: "Close" }).first().click()
    const operation = page.locator(".opblock-post", { has: page.getByText("/devices/list", { exact: true }) }).first()
    await operation.locator(".opblock-summary").click()
    await operation.locator("textarea").first().fill("{}")
    await operation.getByRole("button", { name: "Execute" }).click()
    await operation.locator(".live-responses-table", { hasText: workspace.devices[1].device_id }).waitFor()
    assert.deepEqual(elsewhere, [])
  })
})
