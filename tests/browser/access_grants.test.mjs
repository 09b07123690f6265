// Tests the views of access grants in Chromium: who has access to what, and why it is not issued.

import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { after, before, test } from "node:test"
import { promisify } from "node:util"
import { closeBrowser, control, DESKTOP, heldWorkspace, NOON, notice, open, openBrowser, STAY, withPage } from "./browser.mjs"

const run = promisify(execFile)

before(openBrowser)
after(closeBrowser)

/** Locks with these names that have no backup access codes. */
const locks = (...names) => names.map((name) => ({ device_type: "august_lock", name, supports_backup_access_code_pool: false }))

const idsOf = ({ devices }) => devices.map((device) => device.device_id)

const advance = ({ id }, by = "PT1S") => control("clock/advance", { workspace_id: id, by })

const setOnline = ({ id }, device_id, online) => control("devices/update", { workspace_id: id, device_id, online })

/** Creates an access grant of one PIN over all locks of a workspace. */
const createGrant = (workspace, full_name, more = {}) => workspace.seam.accessGrants.create({
  user_identity: { full_name }, device_ids: idsOf(workspace), requested_access_methods: [{ mode: "code" }],
  starts_at: NOON, ends_at: STAY.ends_at, ...more,
})

test("access grant view says why it is not issued, until the lock is back", async () => {
  const workspace = await heldWorkspace(locks("Front Door", "Cellar", "Attic"))
  const [, cellar] = idsOf(workspace)
  await setOnline(workspace, cellar, false)
  await withPage(DESKTOP, async (page) => {
    await open(page, workspace, "locks")
    await page.getByRole("link", { name: "Access grants" }).click()
    await page.getByText("No access grants yet.").waitFor()
    await createGrant(workspace, "Ada Guest", { access_grant_key: "stay-12" })
    await createGrant(workspace, "Bob Visitor", { device_ids: [idsOf(workspace)[0]] })
    await advance(workspace)
    await page.getByRole("row", { name: /Ada Guest.*Awaiting issuance.*0 of 1 issued.*Pending: provisioning_access/ }).waitFor()
    await page.getByRole("row", { name: /Bob Visitor.*Active.*1 of 1 issued/ }).waitFor()
    const search = page.getByRole("searchbox", { name: /Search/ })
    await search.fill("nobody")
    await page.getByText("No access grant matches.").waitFor()
    await search.fill("stay-12")
    await page.getByText("1 access grant", { exact: true }).waitFor()
    assert.equal(await page.getByRole("link", { name: "Bob Visitor" }).count(), 0)

    await page.getByRole("link", { name: "Ada Guest" }).click()
    await page.getByRole("heading", { name: "Why is this access grant not issued?" }).waitFor()
    const why = page.locator(".why")
    await why.getByText("The lock is offline.").waitFor()
    assert.equal(await why.getByRole("link", { name: /^access code/ }).count(), 1, "only the code of the offline lock")
    await page.getByText("Not issued.").waitFor()
    await page.getByText("Without access yet: Cellar.").waitFor()
    await page.getByRole("row", { name: /Front Door.*set.*yes/ }).waitFor()
    await page.getByRole("row", { name: /Cellar.*no/ }).waitFor()

    await why.getByRole("link", { name: "Cellar" }).click()
    await page.getByRole("link", { name: "access grant of Ada Guest" }).waitFor()
    await page.getByRole("switch", { name: "Online", checked: false }).click()
    await page.getByRole("switch", { name: "Online", checked: true }).waitFor()
    await page.getByRole("link", { name: "access grant of Ada Guest" }).click()
    await page.getByRole("button", { name: "Next step" }).click()
    await page.getByText("Each access method is issued: the PINs open the doors now.").waitFor()
    await page.getByText(/^Issued since 2026-03-02 12:00:01/).waitFor()
    await page.getByRole("heading", { name: /^Ada Guest Active/ }).waitFor()
    const events = await page.locator(".events strong").allTextContents()
    assert.deepEqual(events, ["access_grant.created", "access_method.created", "access_method.issued", "access_grant.access_granted_to_all_doors"])
  })
})

test("access grant view follows a lock that fails, without a reload", async () => {
  const workspace = await heldWorkspace(locks("Front Door"))
  await control("faults/create", { workspace_id: workspace.id, operation: "set", outcome: { fail: {} }, times: 1 })
  const { access_grant_id } = await createGrant(workspace, "Ada Guest")
  await withPage(DESKTOP, async (page) => {
    await open(page, workspace, `grants/${access_grant_id}`)
    await page.locator(".why").getByText("A fault makes the operation “set” fail.").waitFor()
    await page.getByRole("button", { name: "Move the clock there" }).click()
    await page.locator(".why").getByText("failed_to_set_on_device").waitFor()
    await page.getByRole("button", { name: "+1 hour" }).click()
    await page.getByText("Each access method is issued: the PINs open the doors now.").waitFor()
  })
})

test("access grant view names the locks that got no access code", async () => {
  const workspace = await heldWorkspace([...locks("Front Door"), { ...locks("Cellar")[0], max_active_codes_supported: 1 }])
  const [, cellar] = idsOf(workspace)
  await workspace.seam.accessCodes.create({ device_id: cellar, name: "Storage" })
  const { access_grant_id } = await createGrant(workspace, "Ada Guest")
  await advance(workspace)
  await withPage(DESKTOP, async (page) => {
    await open(page, workspace, `grants/${access_grant_id}`)
    await page.getByText("Each access method is issued, but some locks have no access code: see “Errors”.").waitFor()
    await page.getByText(/cannot_create_requested_access_methods.*Locks: Cellar\./).waitFor()
    assert.doesNotMatch(await page.locator("main").textContent(), /undefined|null|false|\[object/)
    await open(page, workspace, "grants")
    await page.getByRole("row", { name: /Ada Guest.*Error: cannot_create_requested_access_methods/ }).waitFor()
  })
})

test("access code of an access grant is changed only through it", async () => {
  const workspace = await heldWorkspace(locks("Front Door"))
  const { access_grant_id } = await createGrant(workspace, "Ada Guest")
  await advance(workspace)
  const { access_codes: [{ access_code_id }] } = await control("access_codes/list", { workspace_id: workspace.id, access_grant_id })
  await withPage(DESKTOP, async (page) => {
    await open(page, workspace, `codes/${access_code_id}`)
    await page.getByText("can be changed and deleted only through its access grant").waitFor()
    await page.getByRole("button", { name: "Add an error" }).waitFor()
    assert.equal(await page.getByRole("button", { name: "Delete the access code" }).count(), 0)
    assert.equal(await page.getByText("Change the access code").count(), 0)
    await page.getByRole("link", { name: "Ada Guest" }).click()
    await page.getByRole("heading", { name: "Access method 1" }).waitFor()
    await page.getByRole("button", { name: "Delete the access grant" }).click()
    await page.getByRole("button", { name: "Really delete?" }).click()
    await notice(page, "The deletion was requested.")
    await page.getByRole("heading", { name: "Why is this access grant not gone yet?" }).waitFor()
    await page.getByRole("button", { name: "Next step" }).click()
    await page.getByRole("heading", { name: "Deleted access grant" }).waitFor()
    await page.getByText("access_grant.deleted").waitFor()
    await page.getByRole("link", { name: "Requests and events with this access grant" }).click()
    await page.getByRole("button", { name: /POST \/access_grants\/delete/ }).waitFor()
    await page.getByRole("button", { name: /access_grant.deleted/ }).waitFor()
  })
})

test("access grants are listed in pages", async () => {
  const workspace = await heldWorkspace()
  for (let n = 1; n <= 51; n += 1) await createGrant(workspace, `Guest ${n}`, { requested_access_methods: [] })
  await withPage(DESKTOP, async (page) => {
    await open(page, workspace, "grants")
    await page.getByText("50 access grants on page 1").waitFor()
    assert.equal(await page.getByRole("link", { name: "Guest 1", exact: true }).count(), 0)
    await page.getByRole("button", { name: "Next", exact: true }).click()
    await page.getByText("1 access grant on page 2").waitFor()
    await page.getByRole("link", { name: "Guest 1", exact: true }).waitFor()
    await page.getByRole("button", { name: "Previous" }).click()
    await page.getByRole("link", { name: "Guest 51", exact: true }).waitFor()
  })
})

test("access grant view shows the errors of the server", async () => {
  const workspace = await heldWorkspace()
  await withPage(DESKTOP, async (page) => {
    await open(page, workspace, "grants/00000000-0000-4000-8000-000000000000")
    await page.getByRole("alert").getByText("This access grant does not exist in this workspace.").waitFor()
    await page.route("**/access_grants/list", (route) => route.fulfill({ status: 500, json: { error: { message: "out of order" }, ok: false } }))
    await open(page, workspace, "grants")
    await page.getByRole("alert").getByText("out of order").waitFor()
  })
})

test("access grants show texts of clients as text, and quote them in curl commands", async () => {
  const evil = "<img src=x onerror=\"document.title='broken'\">'; rm \"$(id)\" `x`"
  const workspace = await heldWorkspace(locks(evil))
  const [lock] = idsOf(workspace)
  const space = await workspace.seam.spaces.create({ name: evil, device_ids: [lock] })
  await setOnline(workspace, lock, false)
  const { access_grant_id } = await createGrant(workspace, evil, {
    name: evil, access_grant_key: evil, reservation_key: evil, space_ids: [space.space_id],
  })
  const { access_codes: [{ access_code_id }] } = await control("access_codes/list", { workspace_id: workspace.id, access_grant_id })
  await withPage({ ...DESKTOP, permissions: ["clipboard-read", "clipboard-write"] }, async (page) => {
    for (const view of ["grants", `grants/${access_grant_id}`, `locks/${lock}`, `codes/${access_code_id}`]) {
      await open(page, workspace, view)
      await page.locator("main").getByText("<img src=x").first().waitFor()
      assert.equal(await page.locator("img, main script").count(), 0, view)
      assert.notEqual(await page.title(), "broken")
    }
    await open(page, workspace, "activity")
    await workspace.seam.accessGrants.create({ user_identity: { full_name: evil }, name: evil, device_ids: [lock], requested_access_methods: [], starts_at: NOON })
    const requests = page.getByRole("button", { name: /POST \/access_grants\/create/ })
    await requests.nth(1).waitFor()
    await requests.first().click()
    await page.getByRole("button", { name: "Copy as curl" }).click()
    await notice(page, "The curl command was copied.")
    const command = await page.evaluate(() => navigator.clipboard.readText())
    const { stdout } = await run("bash", ["-c", `${command} --silent`])
    assert.equal(JSON.parse(stdout).access_grant.name, evil)
  })
})
