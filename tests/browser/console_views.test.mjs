// Looks at each view of the console, light and dark, wide and narrow: accessibility, layout, weight, time of the first
// paint. Leaves screenshots in target/browser/screenshots/.

import assert from "node:assert/strict"
import { mkdirSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { after, before, test } from "node:test"
import { BASE_URL, closeBrowser, control, newWorkspace, openBrowser, withPage } from "./browser.mjs"

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

const WIDE = { viewport: { width: 1280, height: 900 } }
const NARROW = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true }

/** Maximum size of all files of the page together, in bytes. */
const MAX_WEIGHT = 150 * 1024

/** Maximum time until something is painted, in milliseconds. */
const MAX_FIRST_PAINT = 200

let workspace
let views

before(async () => {
  await openBrowser()
  mkdirSync("screenshots", { recursive: true })
  workspace = await prepared()
  const [{ device_id }] = workspace.devices
  views = {
    workspaces: "#/", locks: `#/w/${workspace.id}/locks`, lock: `#/w/${workspace.id}/locks/${device_id}`,
    code: `#/w/${workspace.id}/codes/${workspace.upcoming}`, grants: `#/w/${workspace.id}/grants`, grant: `#/w/${workspace.id}/grants/${workspace.grant}`, timeline: `#/w/${workspace.id}/timeline`, activity: `#/w/${workspace.id}/activity`,
    webhooks: `#/w/${workspace.id}/webhooks`, faults: `#/w/${workspace.id}/faults`, workspace: `#/w/${workspace.id}/workspace`,
  }
})
after(closeBrowser)

/** Creates a workspace with something to see in each view. */
async function prepared() {
  const locks = [
    { device_type: "august_lock", name: "Front Door", supports_backup_access_code_pool: false },
    { device_type: "yale_lock", name: "Garden Gate", supports_backup_access_code_pool: false },
    { device_type: "schlage_lock", name: "Cellar", max_active_codes_supported: 1 }, { device_type: "nuki_lock", name: "Attic", online: false },
  ]
  const created = await newWorkspace({ name: "Seaside apartments", clock: { held_at: "2026-03-02T12:00:00Z" }, locks })
  const { seam, id, devices } = created
  const in_ = (parameters) => ({ workspace_id: id, ...parameters })
  const [front, garden, cellar, attic] = devices.map((device) => device.device_id)
  await seam.webhooks.create({ url: "http://127.0.0.1:9/hook" })
  const create = (device_id, name, starts_at, ends_at) => seam.accessCodes.create({ device_id, name, ...(starts_at && { starts_at, ends_at }) })
  const housekeeping = await create(front, "Housekeeping")
  await create(front, "Ada Lovelace", "2026-03-02T15:00:00Z", "2026-03-04T11:00:00Z")
  await create(front, "Grace Hopper", "2026-03-04T15:00:00Z", "2026-03-07T11:00:00Z")
  const upcoming = await create(front, "Alan Turing", "2026-03-07T15:00:00Z", "2026-03-09T11:00:00Z")
  await create(garden, "Gardener", "2026-03-02T06:00:00Z", "2026-03-03T18:00:00Z")
  await control("locks/add_code", in_({ device_id: garden, code: "8642", name: "Neighbour" }))
  await create(cellar, "Bicycles", "2026-03-03T08:00:00Z", "2026-03-06T08:00:00Z")
  await control("locks/add_code", in_({ device_id: cellar, code: "2580", name: "Storage" }))
  await seam.accessCodes.create({ device_id: attic, name: "Roofer", attempt_for_offline_device: true })
  const requested_access_methods = [{ mode: "code" }]
  const stay = { starts_at: "2026-03-04T15:00:00Z", ends_at: "2026-03-07T11:00:00Z" }
  const space = await seam.spaces.create({ name: "Apartment 12", device_ids: [garden, attic] })
  await seam.accessGrants.create({ user_identity: { full_name: "Mary Somerville" }, device_ids: [garden], requested_access_methods, ...stay })
  const grant = await seam.accessGrants.create({
    user_identity: { full_name: "Emmy Noether", email_address: "emmy@example.com" }, access_grant_key: "stay-12",
    space_ids: [space.space_id], device_ids: [front], requested_access_methods, ...stay,
  })
  await control("snapshots/create", in_())
  await control("clock/advance", in_({ to: "2026-03-03T09:00:00Z" }))
  await control("locks/change_code", in_({ device_id: front, access_code_id: housekeeping.access_code_id, new_code: "4321" }))
  await control("faults/create", in_({ operation: "remove", outcome: { delay: "PT5M" }, device_id: garden }))
  await control("http_faults/create", in_({ path: "/access_codes/*", outcome: { status: 503 }, times: 1, probability: 0.5 }))
  await seam.accessCodes.get({ access_code_id: front }).catch(() => {})
  return { ...created, upcoming: upcoming.access_code_id, grant: grant.access_grant_id }
}

async function open(page, hash) {
  await page.goto(`${BASE_URL}/_emulator/console${hash}`)
  await page.waitForFunction((expected) => document.body.dataset.ready === expected, hash)
}

/** Returns what the accessibility engine finds serious or critical on the page. */
async function violations(page) {
  await page.evaluate(axe)
  const { violations: found } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }))
  const serious = found.filter((one) => ["serious", "critical"].includes(one.impact))
  return serious.flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 160)} ${node.failureSummary?.slice(0, 200)}`))
}

for (const colorScheme of ["light", "dark"]) {
  for (const [width, viewport] of [["wide", WIDE], ["narrow", NARROW]]) {
    test(`views are accessible and fit the screen: ${colorScheme}, ${width}`, async () => {
      await withPage({ ...viewport, colorScheme }, async (page) => {
        for (const [name, hash] of Object.entries(views)) {
          await open(page, hash)
          if (name === "timeline") await page.locator(".bar").first().waitFor()
          if (name === "activity") await page.locator(".entry").first().click()
          assert.deepEqual(await violations(page), [], name)
          // `innerWidth` would be wrong: a telephone zooms out until everything fits.
          const { width: screenWidth } = page.viewportSize()
          const scrollWidth = await page.evaluate(() => document.documentElement.scrollWidth)
          assert.ok(scrollWidth <= screenWidth, `${name} is ${scrollWidth} wide on a screen of ${screenWidth}`)
          const headings = await page.evaluate(() => document.querySelectorAll("h1").length)
          assert.equal(headings, 1, `${name} has one main heading`)
          await page.screenshot({ path: `screenshots/${name}-${colorScheme}-${width}.png`, fullPage: width === "narrow" })
        }
      })
    })
  }
}

test("page weighs little, is painted soon, and loads nothing from elsewhere", async () => {
  await withPage(WIDE, async (page) => {
    let weight = 0
    const elsewhere = []
    const sizes = []
    page.on("response", (response) => {
      const url = response.url()
      if (!url.startsWith(BASE_URL)) elsewhere.push(url)
      if (/\/$|\/console\//.test(new URL(url).pathname)) sizes.push(response.body().then((body) => { weight += body.length }))
    })
    await page.goto(`${BASE_URL}/`)
    await page.getByRole("heading", { name: "Workspaces" }).waitFor()
    await Promise.all(sizes)
    assert.deepEqual(elsewhere, [])
    assert.ok(weight > 50_000 && weight <= MAX_WEIGHT, `${weight} bytes`)
    console.log(`weight of the page: ${weight} bytes`)
  })
  const paints = []
  for (let run = 0; run < 5; run += 1) {
    await withPage(WIDE, async (page) => {
      await page.goto(`${BASE_URL}/`)
      await page.getByRole("heading", { name: "Workspaces" }).waitFor()
      paints.push(await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime))
    })
  }
  paints.sort((one, other) => one - other)
  console.log(`first paint, five runs: ${paints.map(Math.round).join(", ")} ms`)
  assert.ok(paints[2] < MAX_FIRST_PAINT, `${paints[2]} ms`)
})
