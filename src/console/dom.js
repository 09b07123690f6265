// Elements of the page. All texts become text nodes, so a text from a client is never markup.

const SVG = "http://www.w3.org/2000/svg"

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value)
    else if (name === "value") element.value = value
    else element.setAttribute(name, value === true ? "" : value)
  }
  element.append(...children.flat(3).filter((child) => child !== undefined && child !== null && child !== false))
  return element
}

/** Creates an HTML element. `on…` attributes are listeners; children are elements, texts, or arrays of them. */
export function h(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children)
}

/** Creates an SVG element. */
export function svg(name, attributes, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children)
}

const FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex]"

/**
 * Shows items in a container, one element for each. An element stays as long as its item does not change, so that it
 * keeps its focus and what was typed in it. If a changed element has the focus, its replacement gets it.
 */
export function keyed(container, items, key, render) {
  const old = container.keyedElements ?? new Map()
  const current = new Map()
  for (const item of items) {
    const id = key(item)
    const text = JSON.stringify(item)
    const found = old.get(id)
    if (found?.text === text) {
      current.set(id, found)
      continue
    }
    const element = render(item)
    const focused = found && found.element.contains(document.activeElement) ? document.activeElement : undefined
    const index = focused ? [...found.element.querySelectorAll(FOCUSABLE)].indexOf(focused) : -1
    if (found) found.element.replaceWith(element)
    if (focused) (element.querySelectorAll(FOCUSABLE)[index] ?? element).focus()
    current.set(id, { element, text })
  }
  for (const [id, { element }] of old) if (!current.has(id)) element.remove()
  let position = container.firstChild
  for (const { element } of current.values()) {
    if (element === position) position = position.nextSibling
    else container.insertBefore(element, position)
  }
  container.keyedElements = current
}

/** Replaces the content of an element, unless a field in it has the focus. */
export function replace(element, ...children) {
  const active = document.activeElement
  if (active && element.contains(active) && active.matches("input, select, textarea")) return
  const index = active && element.contains(active) ? [...element.querySelectorAll(FOCUSABLE)].indexOf(active) : -1
  element.replaceChildren(...children.flat(3).filter(Boolean))
  if (index >= 0) element.querySelectorAll(FOCUSABLE)[index]?.focus()
}

/** Shows a message to everybody, also to screen readers. An error stays until it is closed. */
export function notice(text, isError = false) {
  const list = document.getElementById("notices")
  const close = h("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => item.remove() }, "×")
  const item = h("p", { class: isError ? "notice error" : "notice" }, h("span", {}, text), close)
  list.append(item)
  while (list.children.length > 4) list.firstChild.remove()
  if (!isError) setTimeout(() => item.remove(), 6000)
}

/** Runs an action. Shows its error, or the text that it returns. */
export async function attempt(action) {
  try {
    const text = await action()
    if (typeof text === "string") notice(text)
    return true
  } catch (error) {
    notice(error.message, true)
    return false
  }
}

/** Button that runs an action, and is disabled until it has ended. */
export function button(label, action, attributes = {}) {
  const run = async () => {
    if (element.getAttribute("aria-disabled") === "true") return
    element.setAttribute("aria-disabled", "true")
    await attempt(action)
    element.removeAttribute("aria-disabled")
  }
  const element = h("button", { type: "button", onclick: run, ...attributes }, label)
  return element
}

/** Button whose action cannot be undone: it asks once more before it runs. */
export function dangerButton(label, question, action) {
  let timer
  const reset = () => {
    clearTimeout(timer)
    timer = undefined
    element.textContent = label
  }
  const element = button(label, async () => {
    if (timer === undefined) {
      element.textContent = question
      timer = setTimeout(reset, 5000)
      return undefined
    }
    reset()
    return action()
  }, { class: "danger" })
  return element
}

let fields = 0

/** Field with its label. `options` makes it a choice. */
export function field(label, name, attributes = {}, options) {
  fields += 1
  const id = `field-${fields}`
  const input = options
    ? h("select", { id, name, ...attributes, value: undefined }, options.map((option) => {
        const [value, text] = Array.isArray(option) ? option : [option, option]
        return h("option", { value, selected: value === attributes.value }, text)
      }))
    : h("input", { id, name, autocomplete: "off", spellcheck: "false", ...attributes })
  if (attributes.type === "checkbox") return h("p", { class: "field check" }, input, h("label", { for: id }, label))
  return h("p", { class: "field" }, h("label", { for: id }, label), input)
}

/** Form whose action gets the values that are not empty, by name. */
export function form(label, submit, action, ...children) {
  const send = async (event) => {
    event.preventDefault()
    const values = {}
    for (const [name, value] of new FormData(element)) if (typeof value === "string" && value.trim() !== "") values[name] = value.trim()
    if (await attempt(() => action(values, element))) element.dispatchEvent(new Event("done"))
  }
  const element = h("form", { "aria-label": label, onsubmit: send }, children, h("p", { class: "field" }, h("button", { type: "submit" }, submit)))
  return element
}

/** Table with a caption for screen readers. Returns the table and its body. */
export function table(caption, columns, attributes = {}) {
  const head = h("tr", {}, columns.map((column) => h("th", { scope: "col" }, column)))
  const body = h("tbody", {})
  const element = h("table", attributes, h("caption", { class: "hidden" }, caption), h("thead", {}, head), body)
  // Wide tables scroll on narrow screens, also by the keyboard.
  return { element: h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, element), body }
}
