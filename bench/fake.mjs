// Starts Seam's in-memory fake with STORED codes on PORT. Writes the state file before the fake accepts requests.
//   node fake.mjs PORT STORED STATE FOLDER    (FOLDER: where npm installed @seamapi/fake-seam-connect)
// Writes the codes directly into its database, because each create over HTTP takes time in proportion to the store.
import { join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { LIST_CODES, MAX_IDS, writeState } from "./state.mjs"

const [port, stored, state, folder] = process.argv.slice(2)
const module = join(resolve(folder), "node_modules/@seamapi/fake-seam-connect/dist/index.js")
const { createFake } = await import(pathToFileURL(module).href)

const fake = await createFake()
const seed = await fake.seed()
const locks = Array.from({ length: Number(process.env.LOCKS ?? 65) }, (_, i) =>
  fake.database.addDevice({
    device_type: "august_lock",
    name: `Lock ${i}`,
    workspace_id: seed.seed_workspace_1,
    connected_account_id: seed.john_connected_account_id,
    can_program_online_access_codes: true,
  }).device_id)
const [list_device, ...devices] = locks

let pin = 10_000_000
const addTo = (device_id) =>
  fake.database.addAccessCode({
    workspace_id: seed.seed_workspace_1, device_id, name: `stored ${pin}`, code: `${pin++}`, type: "ongoing",
  })
for (let i = 0; i < LIST_CODES; i++) addTo(list_device)
if (Number(stored) > 0) {
  // addAccessCode copies the whole list for each code. So only one code is added with it, and the others are its copies.
  const pattern = addTo(devices[0])
  const database = await fake.toJSON()
  for (let i = 1; i < Number(stored); i++) {
    database.access_codes.push({
      ...pattern,
      access_code_id: `stored_${i}`, device_id: devices[i % devices.length], name: `stored ${pin}`, code: `${pin++}`,
    })
  }
  await fake.loadJSON(database)
}
const all = (await fake.toJSON()).access_codes.map((code) => code.access_code_id)
const keepEvery = Math.max(1, Math.ceil(all.length / MAX_IDS))
const ids = all.filter((_, i) => i % keepEvery === 0)
writeState(state, { api_key: seed.seam_apikey1_token, list_device, devices, ids })
await fake.startServer({ port: Number(port), signals: ["SIGINT", "SIGTERM"] })
