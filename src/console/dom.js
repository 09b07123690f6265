// Elements of the page. All texts become text nodes, so a text from a client is never markup.

const SVG = "http://www.w3.org/2000/svg"

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value)
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

/** Writes a text, unless it is there already: so a screen reader does not read it again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

/** Name by which an element is found again after its surroundings were rendered again. */
const nameOf = (element) => element.getAttribute("aria-label") ?? element.textContent

/** Gives the focus to the element in `container` with the name of the one that had it. */
function refocus(container, old) {
  const found = [...container.querySelectorAll(FOCUSABLE)].find((one) => one.tagName === old.tagName && nameOf(one) === nameOf(old))
  found?.focus({ preventScroll: true })
}

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
    if (container.columns) label(element, container.columns)
    const focused = found?.element.contains(document.activeElement) ? document.activeElement : undefined
    if (found) found.element.replaceWith(element)
    if (focused) refocus(element, focused)
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

/** Names the cells of a row for narrow screens, on which a cell is a line. The roles stay those of a table there. */
function label(row, columns) {
  row.setAttribute("role", "row")
  for (const [index, cell] of [...row.children].entries()) {
    cell.setAttribute("role", cell.tagName === "TH" ? "rowheader" : "cell")
    cell.dataset.column = columns[index]
  }
}

/** Shows sections, each a name, its data and a function that renders them, as `keyed` does. */
export function sections(container, list) {
  const renders = new Map(list.map(([name, , render]) => [name, render]))
  keyed(container, list.map(([name, data]) => ({ name, data })), (item) => item.name, ({ name, data }) => h("div", {}, renders.get(name)(data)))
}

/** Shows a message to everybody, also to screen readers. An error stays until the next message or view, the others for six seconds. */
export function notice(text, isError = false) {
  const list = document.getElementById("notices")
  clearErrors()
  const close = h("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => item.remove() }, "×")
  const item = h("p", { class: isError ? "notice error" : "notice" }, h("span", {}, text), close)
  list.append(item)
  if (!isError) setTimeout(() => item.remove(), 6000)
}

/** Removes the error messages: they are about the last action. */
export function clearErrors() {
  for (const item of document.querySelectorAll("#notices .error")) item.remove()
}

/** Runs an action. Shows its error, or the text that it returns. */
export async function attempt(action) {
  try {
    const text = await action()
    if (typeof text === "string") notice(text)
  } catch (error) {
    notice(error.message, true)
  }
}

/** Copies a text, and returns a message about it. */
export async function copied(text, name = "The text") {
  if (!navigator.clipboard) throw new Error("The browser allows no copying here: select the text instead.")
  await navigator.clipboard.writeText(text)
  return `${name} was copied.`
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
  return h("p", { class: "field" }, h("label", { for: id }, label), input)
}

/** Form whose action gets the values that are not empty, by name. It is emptied after a success. */
export function form(label, submit, action, ...children) {
  let isRunning = false
  const send = async (event) => {
    event.preventDefault()
    if (isRunning) return
    isRunning = true
    const values = {}
    for (const [name, value] of new FormData(element)) if (typeof value === "string" && value.trim() !== "") values[name] = value.trim()
    await attempt(async () => {
      const text = await action(values, element)
      element.reset()
      return text
    })
    isRunning = false
  }
  const element = h("form", { "aria-label": label, onsubmit: send }, children, h("p", { class: "field" }, h("button", { type: "submit" }, submit)))
  return element
}

/** Table with a caption for screen readers. Returns the table and its body. */
export function table(caption, columns) {
  const head = h("tr", { role: "row" }, columns.map((column) => h("th", { scope: "col", role: "columnheader" }, column)))
  const body = h("tbody", { role: "rowgroup" })
  body.columns = columns
  const element = h("table", { role: "table" }, h("caption", { class: "hidden" }, caption), h("thead", { role: "rowgroup" }, head), body)
  // Wide tables scroll on narrow screens, also by the keyboard.
  return { element: h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, element), body }
}
