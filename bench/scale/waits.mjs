// Waits with a limit, and medians.

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Waits for a promise. Throws after `ms`. */
export async function within(ms, what, promise) {
  let timer
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms / 1000} s: ${what}`)), ms)
  })
  try {
    return await Promise.race([promise, limit])
  } finally {
    clearTimeout(timer)
  }
}

/** Waits until `condition` returns true. Throws after `ms`. */
export async function until(ms, what, condition) {
  const end = performance.now() + ms
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${ms / 1000} s: ${what}`)
    await sleep(100)
  }
}

export const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
