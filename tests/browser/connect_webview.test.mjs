// Tests the page of a connect webview in Chromium: a person chooses August, logs in, and the official SDK then lists
// the devices. Each test has its own workspace.

import assert from "node:assert/strict"
import http from "node:http"
import { after, before, test } from "node:test"
import { closeBrowser, DESKTOP, newWorkspace, openBrowser, TELEPHONE, withPage as withAnyPage } from "./browser.mjs"

const WITHOUT_SCRIPTS = { ...DESKTOP, javaScriptEnabled: false }

before(openBrowser)
after(closeBrowser)

/** Runs a test with a new page. Checks that it loaded nothing but documents. */
function withPage(options, run) {
  return withAnyPage(options, async (page) => {
    const loaded = []
    page.on("request", (request) => {
      const isIcon = request.url().endsWith("/favicon.ico")
      if (request.resourceType() !== "document" && !isIcon) loaded.push(request.url())
    })
    await run(page)
    assert.deepEqual(loaded, [])
  })
}

/** Checks that nothing is wider than the screen, and that links and buttons are large enough for a finger. */
async function checkLayout(page) {
  const layout = await page.evaluate(() => ({
    isTooWide: document.documentElement.scrollWidth > window.innerWidth,
    small: [...document.querySelectorAll("button, .choice, .continue, input:not([type=hidden]), select")]
      .filter((element) => element.getBoundingClientRect().height < 44)
      .map((element) => element.outerHTML),
    unlabelled: [...document.querySelectorAll("input:not([type=hidden]), select")]
      .filter((element) => element.labels.length !== 1)
      .map((element) => element.outerHTML),
  }))
  assert.deepEqual(layout, { isTooWide: false, small: [], unlabelled: [] })
}

/** Chooses August and logs in, as a person does who sees the labels. */
async function logInToAugust(page, { password = "1234" } = {}) {
  await page.getByRole("link", { name: "August" }).click()
  await page.getByLabel("Email").fill("jane@example.com")
  await page.getByLabel("Password").fill(password)
  await page.getByLabel("Region").selectOption("Europe")
  await page.getByRole("button", { name: "Log in" }).click()
}

/** Checks that the SDK lists the devices of the August account, and no others. */
async function checkDevices(seam) {
  const devices = await seam.devices.list()
  assert.deepEqual(devices.map((device) => device.display_name), ["FRONT DOOR", "BACK DOOR"])
  assert.deepEqual(new Set(devices.map((device) => device.device_type)), new Set(["august_lock"]))
  assert.ok(devices.every((device) => device.properties.online))
}

for (const [name, options, canMeasure] of [
  ["on a desktop", DESKTOP, true],
  ["on a telephone", TELEPHONE, true],
  ["without JavaScript", WITHOUT_SCRIPTS, false],
]) {
  test(`login to August ${name} gives devices that the SDK lists`, async () => {
    const { seam } = await newWorkspace()
    const webview = await seam.connectWebviews.create({ provider_category: "stable" })
    await withPage(options, async (page) => {
      await page.goto(webview.url)
      await page.getByRole("heading", { name: "Choose the brand" }).waitFor()
      if (canMeasure) await checkLayout(page)
      await logInToAugust(page)
      await page.getByLabel("Verification code").waitFor()
      if (canMeasure) await checkLayout(page)
      assert.deepEqual(await seam.devices.list(), [])
      await page.getByLabel("Verification code").fill("123456")
      await page.getByRole("button", { name: "Verify" }).click()
      await page.getByRole("heading", { name: "Your account is connected" }).waitFor()
    })
    const { login_successful, selected_provider } = await seam.connectWebviews.get(webview)
    assert.deepEqual({ login_successful, selected_provider }, { login_successful: true, selected_provider: "august" })
    await checkDevices(seam)
  })
}

test("login needs only the keyboard", async () => {
  const { seam } = await newWorkspace()
  const webview = await seam.connectWebviews.create({ accepted_providers: ["yale", "august"] })
  await withPage(DESKTOP, async (page) => {
    await page.goto(webview.url)
    const focused = () => page.evaluate(() => document.activeElement.textContent)
    for (let presses = 0; (await focused()) !== "August"; presses += 1) {
      assert.ok(presses < 10, "no link for August by the Tab key")
      await page.keyboard.press("Tab")
    }
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle)
    assert.notEqual(outline, "none", "the focus is visible")
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { name: "Log in to August" }).waitFor()
    // The first field has the focus.
    await page.keyboard.type("jane@example.com")
    await page.keyboard.press("Tab")
    await page.keyboard.type("1234")
    await page.keyboard.press("Tab")
    await page.keyboard.type("Canada")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { name: "Enter the verification code" }).waitFor()
    await page.keyboard.type("123456")
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { name: "Your account is connected" }).waitFor()
  })
  await checkDevices(seam)
})

test("wrong credentials are reported, and a second login succeeds", async () => {
  const { seam } = await newWorkspace()
  const webview = await seam.connectWebviews.create()
  await withPage(DESKTOP, async (page) => {
    await page.goto(webview.url)
    await logInToAugust(page, { password: "4321" })
    await page.getByRole("alert").waitFor()
    assert.equal(await page.getByLabel("Email").inputValue(), "jane@example.com")
    assert.equal(await page.getByLabel("Password").inputValue(), "")
    assert.equal(await page.getByLabel("Region").inputValue(), "Europe")
    assert.equal((await seam.connectWebviews.get(webview)).status, "failed")
    await page.getByLabel("Password").fill("1234")
    await page.getByRole("button", { name: "Log in" }).click()
    await page.getByLabel("Verification code").fill("123456")
    await page.getByRole("button", { name: "Verify" }).click()
    await page.getByRole("heading", { name: "Your account is connected" }).waitFor()
  })
  await checkDevices(seam)
})

test("redirects lead to the application, after a failure and after a success", async () => {
  const visits = []
  const application = http.createServer((request, response) => {
    if (request.url !== "/favicon.ico") visits.push(request.url)
    response.setHeader("content-type", "text/html")
    response.end("<h1>The application</h1>")
  })
  await new Promise((resolve) => application.listen(0, "127.0.0.1", resolve))
  try {
    const origin = `http://127.0.0.1:${application.address().port}`
    const { seam } = await newWorkspace()
    const webview = await seam.connectWebviews.create({
      accepted_providers: ["schlage"],
      custom_redirect_url: `${origin}/done?from=test`,
      custom_redirect_failure_url: `${origin}/failed`,
    })
    const id = webview.connect_webview_id
    const logIn = (password) =>
      withPage(DESKTOP, async (page) => {
        await page.goto(webview.url)
        await page.getByLabel("Email").fill("jane@example.com")
        await page.getByLabel("Password").fill(password)
        await page.getByRole("button", { name: "Log in" }).click()
        await page.getByRole("heading", { name: "The application" }).waitFor()
      })
    await logIn("4321")
    await logIn("1234")
    const { connected_account_id: account } = await seam.connectWebviews.get(webview)
    assert.deepEqual(visits, [
      `/failed?connect_webview_id=${id}`,
      `/done?from=test&connect_webview_id=${id}&connected_account_id=${account}`,
    ])
  } finally {
    application.close()
  }
})

test("disconnected account is connected again by a login", async () => {
  const { seam } = await newWorkspace()
  const logIn = async () => {
    const webview = await seam.connectWebviews.create()
    await withPage(TELEPHONE, async (page) => {
      await page.goto(webview.url)
      await logInToAugust(page)
      await page.getByLabel("Verification code").fill("123456")
      await page.getByRole("button", { name: "Verify" }).click()
      await page.getByRole("heading", { name: "Your account is connected" }).waitFor()
    })
    return (await seam.connectWebviews.get(webview)).connected_account_id
  }
  const account = await logIn()
  await seam.connectedAccounts.simulate.disconnect({ connected_account_id: account })
  assert.ok((await seam.devices.list()).every((device) => !device.properties.online))
  assert.equal(await logIn(), account)
  await checkDevices(seam)
})
