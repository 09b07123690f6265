// Webhooks through the official JavaScript client: a delivery that the official verifier accepts.
// Needs BASE_URL and API_KEY.
import assert from "node:assert/strict"
import { createServer } from "node:http"
import { after, before, test } from "node:test"
import { SeamHttp } from "@seamapi/http"
import { SeamWebhook, SeamWebhookVerificationError } from "@seamapi/webhook"

const { BASE_URL, API_KEY, SETTLE_TIMEOUT_MS = "20000" } = process.env
const seam = SeamHttp.fromApiKey(API_KEY, { endpoint: BASE_URL })

const received = []
const receiver = createServer((request, response) => {
  let body = ""
  request.on("data", (piece) => (body += piece))
  request.on("end", () => {
    received.push({ headers: request.headers, body })
    response.end("ok")
  })
})
let url

before(async () => {
  await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve))
  url = `http://127.0.0.1:${receiver.address().port}/seam`
})

after(() => receiver.close())

async function until(what, check) {
  const deadline = performance.now() + Number(SETTLE_TIMEOUT_MS)
  while (!check()) {
    assert.ok(performance.now() < deadline, `timed out waiting until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

test("webhook_delivery_is_verified_by_the_official_package", async () => {
  const webhook = await seam.webhooks.create({ url, event_types: ["access_code.created", "access_code.deleted"] })
  assert.deepEqual(await seam.webhooks.get({ webhook_id: webhook.webhook_id }), webhook)
  assert.ok((await seam.webhooks.list()).some(({ webhook_id }) => webhook_id === webhook.webhook_id))
  const devices = await seam.devices.list()
  const { device_id } = devices.find((device) => device.can_program_online_access_codes)
  const { access_code_id } = await seam.accessCodes.create({ device_id, name: "Guest" })
  const is_of_code = ({ body }) => JSON.parse(body).access_code_id === access_code_id
  await until("the event arrives", () => received.some(is_of_code))
  const { headers, body } = received.find(is_of_code)
  const event = new SeamWebhook(webhook.secret).verify(body, headers)
  assert.equal(event.event_type, "access_code.created")
  assert.equal(event.device_id, device_id)
  assert.deepEqual(event, await seam.events.get({ event_id: event.event_id }))
  const verify_changed = () => new SeamWebhook(webhook.secret).verify(body.replace(device_id, "another"), headers)
  assert.throws(verify_changed, SeamWebhookVerificationError)

  await seam.webhooks.update({ webhook_id: webhook.webhook_id, event_types: ["access_code.deleted"] })
  await seam.accessCodes.delete({ access_code_id })
  await until("the deletion arrives", () => received.some(({ body }) => body.includes('"access_code.deleted"')))
  await seam.webhooks.delete({ webhook_id: webhook.webhook_id })
  assert.ok(!(await seam.webhooks.list()).some(({ webhook_id }) => webhook_id === webhook.webhook_id))
})
