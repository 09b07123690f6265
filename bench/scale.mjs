// The two parts of scale.sh, see there.
import { sql } from "./scale/database.mjs"
import { run_kills } from "./scale/kills.mjs"
import { run_rates } from "./scale/rates.mjs"

const parts = (process.env.PARTS ?? "rates kills").split(" ")
let isRight = true
try {
  await sql("select 1")
  // In this order: after the kills, the database is full of codes.
  if (parts.includes("rates")) await run_rates()
  if (parts.includes("kills")) isRight = await run_kills()
} catch (error) {
  console.error(error)
  isRight = false
}
process.exit(isRight ? 0 : 1)
