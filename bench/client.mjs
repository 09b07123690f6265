// Requests to a server.
import http from "node:http"

// Creates a client with at most this many connections, of the server at BASE_URL if no other is given. `send` returns the
// status and the text of the response. `post` sends a POST, which must succeed, and returns the parsed response.
export function client(maxSockets = 4, baseUrl = process.env.BASE_URL) {
  const agent = new http.Agent({ keepAlive: true, maxSockets })

  function send(path, body, apiKey, method = "POST") {
    const data = body === undefined ? "" : JSON.stringify(body)
    const headers = { "content-length": Buffer.byteLength(data) }
    if (data) headers["content-type"] = "application/json"
    if (apiKey) headers.authorization = `Bearer ${apiKey}`
    return new Promise((resolve, reject) => {
      const request = http.request(new URL(path, baseUrl), { method, agent, headers }, (response) => {
        const chunks = []
        response.on("data", (chunk) => chunks.push(chunk))
        response.on("end", () => resolve({ status: response.statusCode, text: () => Buffer.concat(chunks).toString() }))
      })
      request.on("error", reject)
      request.end(data)
    })
  }

  async function post(path, body, apiKey) {
    const response = await send(path, body, apiKey)
    if (response.status !== 200) throw new Error(`${path} answered ${response.status}: ${response.text().slice(0, 300)}`)
    return JSON.parse(response.text())
  }

  return { send, post }
}
