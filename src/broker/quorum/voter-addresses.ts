import { wrongAddress } from '../../lib/address.js'
import type { Disk } from '../../ports/disk.js'
import type { Logger } from '../../ports/logger.js'
import type { PeerAddress } from '../peer-message.js'

/** Beside meta.properties: it outlives a Raft log that is set aside. */
const FILE = 'voter-addresses'
const MAX_BYTES = 64 * 1024

/**
 * Where the voters were last reached. A node may have joined by bootstrap servers that have left the cluster since;
 * without this nobody would find anybody after all nodes were stopped. A hint: what is lost or wrong costs only time.
 */
export class VoterAddresses {
  private text: string

  constructor(
    private readonly disk: Disk,
    private readonly logger: Logger,
  ) {
    this.text = this.readText()
  }

  read(): PeerAddress[] {
    return this.text.split('\n').flatMap((line) => {
      const match = /^(\d{1,10})=(.+):(\d{1,5})$/.exec(line)
      if (match === null) return []
      const voter = { nodeId: Number(match[1]), host: match[2]!, port: Number(match[3]) }
      return wrongAddress(voter) === undefined ? [voter] : []
    })
  }

  /** Not synced: a power cut may bring the former ones back. */
  write(addresses: readonly PeerAddress[]): void {
    const text = addresses.map(({ nodeId, host, port }) => `${nodeId}=${host}:${port}\n`).join('')
    if (text === this.text) return
    this.text = text
    const { disk } = this
    const temporary = `${FILE}.tmp`
    try {
      const file = disk.open(temporary, { create: true })
      try {
        file.truncate(0)
        file.write(0, [Buffer.from(text)])
      } finally {
        file.close()
      }
      disk.rename(temporary, FILE)
    } catch (error) {
      this.logger.warn({ error: (error as Error).message }, 'the addresses of the voters cannot be kept')
    }
  }

  private readText(): string {
    try {
      if (!this.disk.exists(FILE)) return ''
      const file = this.disk.open(FILE)
      try {
        return Buffer.from(file.read(0, MAX_BYTES)).toString('utf8')
      } finally {
        file.close()
      }
    } catch (error) {
      this.logger.warn({ error: (error as Error).message }, 'the addresses of the voters cannot be read')
      return ''
    }
  }
}
