// A keep-alive connection to a server, with one request at a time. It takes less of the cores than the client of Node.
import net from "node:net"

/** Maximum time for one request. */
const LIMIT_MS = 20_000

/** The connection ended before the response. `isSent` is false if the server cannot have received the request. */
export class Broken extends Error {
  constructor(cause, isSent) {
    super(cause)
    this.isSent = isSent
  }
}

export class Connection {
  #port
  #socket
  /** The request in progress. */
  #pending

  constructor(port) {
    this.#port = port
  }

  /** Sends a POST. Returns the status and the parsed body of the response. Throws `Broken`. */
  async post(path, body, apiKey) {
    const { status, text } = await this.send(encode(path, body, apiKey))
    return { status, body: JSON.parse(text) }
  }

  /** Sends an encoded request. Returns the status and the text of the response. Throws `Broken`. */
  async send(encoded) {
    if (!this.#socket) await this.#open()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#fail(`no response within ${LIMIT_MS / 1000} s`), LIMIT_MS)
      this.#pending = { resolve, reject, timer, text: "", length: undefined }
      this.#socket.write(encoded)
    })
  }

  close() {
    this.#socket?.destroy()
    this.#socket = undefined
  }

  #open() {
    return new Promise((resolve, reject) => {
      const socket = net.connect(this.#port, "127.0.0.1")
      socket.setNoDelay(true)
      socket.setEncoding("latin1")
      socket.once("connect", () => {
        this.#socket = socket
        resolve()
      })
      socket.on("data", (chunk) => this.#receive(chunk))
      socket.on("error", (error) => {
        reject(new Broken(error.message, false))
        if (this.#socket === socket) this.#fail(error.message)
      })
      socket.on("close", () => {
        reject(new Broken("the connection was closed", false))
        if (this.#socket === socket) this.#fail("the connection was closed")
      })
    })
  }

  #fail(cause) {
    const pending = this.#pending
    this.#pending = undefined
    this.close()
    if (!pending) return
    clearTimeout(pending.timer)
    pending.reject(new Broken(`port ${this.#port}: ${cause}`, true))
  }

  #receive(chunk) {
    const pending = this.#pending
    if (!pending) return
    pending.text += chunk
    const head = pending.text.indexOf("\r\n\r\n")
    if (head < 0) return
    pending.length ??= head + 4 + Number(/content-length: *(\d+)/i.exec(pending.text)[1])
    if (pending.text.length < pending.length) return
    this.#pending = undefined
    clearTimeout(pending.timer)
    pending.resolve({ status: Number(pending.text.slice(9, 12)), text: pending.text.slice(head + 4) })
  }
}

/** Returns the bytes of a POST. Everything in it must be ASCII. */
export function encode(path, body, apiKey) {
  const data = JSON.stringify(body)
  return (
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${apiKey}\r\n` +
    `content-type: application/json\r\ncontent-length: ${data.length}\r\n\r\n${data}`
  )
}
