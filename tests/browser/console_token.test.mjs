// The console of a server with an admin token. Needs LATCHKEY_BIN, the program of the server.

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { after, before, test } from "node:test"
import { closeBrowser, DESKTOP, openBrowser, withPage } from "./browser.mjs"

const TOKEN = "the admin token of this test"
const { LATCHKEY_BIN } = process.env

let server
let url

/** Starts a server with an admin token, and waits until it prints its address. */
async function start() {
  server = spawn(LATCHKEY_BIN, ["--ephemeral", "--port", "0", "--admin-token", TOKEN], { stdio: ["ignore", "pipe", "pipe"] })
  for (const output of [server.stdout, server.stderr]) {
    createInterface({ input: output }).on("line", (line) => { url ??= line.match(/ready on (http:\/\/\S+)/)?.[1] })
  }
  for (let waited = 0; url === undefined; waited += 50) {
    assert.ok(server.exitCode === null && waited < 30_000, "the server did not start")
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

before(async () => {
  if (!LATCHKEY_BIN) return
  await openBrowser()
  await start()
})
after(async () => {
  await closeBrowser()
  if (!server) return
  const ended = new Promise((resolve) => server.once("exit", resolve))
  server.kill("SIGTERM")
  await ended
})

test("console asks for the admin token, and accepts an API key instead", { skip: !LATCHKEY_BIN }, async () => {
  await withPage(DESKTOP, async (page) => {
    const enter = async (token) => {
      await page.getByLabel("Admin token, or the API key").fill(token)
      await page.getByRole("button", { name: "Continue" }).click()
    }
    await page.goto(url)
    await page.getByText("needs the admin token").waitFor()
    await enter("wrong")
    await page.getByText("neither the admin token nor the API key").waitFor()
    await enter(TOKEN)
    await page.getByRole("link", { name: "Latchkey Sandbox" }).click()
    await page.getByRole("link", { name: "Front Door" }).waitFor()
    await page.getByText("Live", { exact: true }).waitFor()
    await page.reload()
    await page.getByRole("link", { name: "Front Door" }).waitFor()
    await page.getByRole("button", { name: "Forget the token" }).click()
    await page.getByText("needs the admin token").waitFor()
    await enter("seam_testsand_LatchkeySandbox")
    await page.getByRole("link", { name: "Front Door" }).waitFor()
    await page.getByRole("switch", { name: "Online" }).waitFor({ state: "detached" })
  })
})
