// A registry of npm packages for the tests: serves the tarballs of a directory, and redirects all other requests to the
// registry that npm is configured for. So the tests install packages exactly as users do, before they are published.
//
//   node registry.mjs DIRECTORY UPSTREAM        prints the address

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'

const [directory, upstream] = process.argv.slice(2)

/** Returns the document of the package in a tarball, as npm requests it. */
function documentOf(file, url) {
  const manifest = JSON.parse(execFileSync('tar', ['-xzOf', join(directory, file), 'package/package.json']))
  const integrity = `sha512-${createHash('sha512').update(readFileSync(join(directory, file))).digest('base64')}`
  const { name, version } = manifest
  const dist = { tarball: `${url}/-/${file}`, integrity }
  return { name, 'dist-tags': { latest: version }, versions: { [version]: { ...manifest, dist } } }
}

const server = createServer((request, response) => {
  const path = decodeURIComponent(request.url)
  const document = documents.find(({ name }) => path === `/${name}`)
  if (document) {
    response.end(JSON.stringify(document))
  } else if (path.startsWith('/-/') && files.includes(path.slice(3))) {
    response.end(readFileSync(join(directory, path.slice(3))))
  } else {
    response.writeHead(307, { location: new URL(request.url, upstream).href }).end()
  }
})
const files = readdirSync(directory)
let documents = []
server.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}`
  documents = files.map((file) => documentOf(file, url))
  console.log(url)
})
