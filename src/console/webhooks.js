// Webhooks: endpoints, and the deliveries to them with each attempt.

import { attempt, button, dangerButton, field, form, h, keyed, setText, table } from "./dom.js"
import { instant, plural } from "./format.js"

export async function webhooks({ session, signal }) {
  const endpoints = table("Webhooks", ["URL", "Event types", "Secret", "Actions"])
  const deliveries = table("Deliveries", ["Event", "URL", "Status", "Attempts", "Answer", "Next attempt (time of this machine)", "Actions"])
  const none = h("p", { class: "hint" }, "No webhooks yet.")
  const status = field("Deliveries", "status", { value: "" }, [["", "all"], ["pending", "pending"], ["succeeded", "succeeded"], ["failed", "failed"]])
  const count = h("p", { class: "hint", role: "status" })
  const refresh = session.onChange(async () => {
    const { webhooks: found } = await session.read("/webhooks/list")
    none.hidden = found.length > 0
    endpoints.element.hidden = found.length === 0
    keyed(endpoints.body, found, (one) => one.webhook_id, (one) => endpoint(session, one))
    const chosen = status.querySelector("select").value
    const list = await session.inspect("webhook_deliveries/list", { limit: 100, ...(chosen && { status: chosen }) })
    deliveries.element.hidden = list.webhook_deliveries.length === 0
    setText(count, list.webhook_deliveries.length === 0 ? "No deliveries." : `The latest ${plural(list.webhook_deliveries.length, "delivery", "deliveries")}.`)
    keyed(deliveries.body, list.webhook_deliveries, (one) => one.webhook_delivery_id, (one) => delivery(session, one))
  }, signal)
  status.addEventListener("change", () => attempt(refresh.run))
  await refresh.run()
  return [h("h1", {}, "Webhooks"), none, endpoints.element, create(session),
    h("section", { "aria-labelledby": "deliveries" }, h("h2", { id: "deliveries" }, "Deliveries"), h("div", { class: "row" }, status, count), deliveries.element)]
}

function endpoint(session, one) {
  return h("tr", {}, h("th", { scope: "row" }, one.url), h("td", {}, (one.event_types ?? ["*"]).join(", ")), h("td", {}, h("code", {}, one.secret)),
    h("td", { class: "actions" }, dangerButton("Delete", "Really delete?", async () => {
      await session.seam("/webhooks/delete", { webhook_id: one.webhook_id })
      return "The webhook was deleted."
    })))
}

function delivery(session, one) {
  const attempts = one.attempt_log.map((attempt) => h("li", {}, `${instant(attempt.attempted_at)}: ${attempt.response_status ?? attempt.error}, ${attempt.duration_ms} ms`,
    attempt.response_body && h("pre", { tabindex: "0" }, attempt.response_body)))
  return h("tr", {}, h("th", { scope: "row" }, h("a", { href: `#/w/${session.id}/activity?filter=${one.event_id}` }, one.event_type)), h("td", {}, one.url),
    h("td", {}, h("span", { class: "badge", "data-status": { succeeded: "set", failed: "error", pending: "setting" }[one.status] }, one.status)),
    h("td", {}, attempts.length > 0 ? h("details", {}, h("summary", {}, plural(one.attempts, "attempt")), h("ol", {}, attempts)) : "none"),
    h("td", {}, one.response_status ?? one.error ?? "–"), h("td", {}, one.next_attempt_at ? instant(one.next_attempt_at) : "–"),
    h("td", { class: "actions" }, button("Send again", async () => {
      await session.control("webhook_deliveries/redeliver", { webhook_delivery_id: one.webhook_delivery_id })
      return "The event is sent again."
    })))
}

function create(session) {
  const element = form("Create a webhook", "Create", async ({ url, event_types: types }) => {
    await session.seam("/webhooks/create", { url, ...(types && { event_types: types.split(/[\s,]+/) }) })
    return "The webhook was created."
  }, h("div", { class: "row" }, field("URL", "url", { type: "url", required: true, placeholder: "http://127.0.0.1:8000/webhook" }),
    field("Event types (empty: all)", "event_types", { placeholder: "access_code.set_on_device" })))
  return h("details", { class: "panel" }, h("summary", {}, "Create a webhook"), element)
}
