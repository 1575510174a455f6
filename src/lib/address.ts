/** No whitespace, no control character, nothing that would make another part of a URI of it. */
const HOST = /^[^\s\p{C}/\\?#@[\]]{1,255}$/u
const MAX_PORT = 65_535

/** Why nobody can be dialled there, as a sentence; undefined: it may be tried. */
export function wrongAddress({ host, port }: { host: string; port: number }): string | undefined {
  if (!HOST.test(host)) return `${JSON.stringify(host.slice(0, 80))} is no host name or address`
  if (!Number.isInteger(port) || port < 1 || port > MAX_PORT)
    return `${port} is no port: 1 to ${MAX_PORT} are`
  return undefined
}
