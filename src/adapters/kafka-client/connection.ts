import { connect, type Socket } from 'node:net'
import type { Address } from '../../ports/network.js'
import { decodeResponse, encodeRequest, frame as withSize } from '../../wire/codec.js'
import { ErrorCode } from '../../wire/errors.js'
import { ApiVersions } from '../../wire/messages/api-versions.js'
import { WireError } from '../../wire/primitives.js'
import type { Api } from '../../wire/schema.js'
import { KafkaConnectionError, KafkaError } from './errors.js'

/** The largest frame that is taken: a broker's largest answer to a fetch, with room. */
const MAX_FRAME_BYTES = 256 * 1024 * 1024
const API_VERSIONS_VERSION = 3

export interface ConnectionOptions {
  readonly clientId: string
  readonly connectTimeoutMs: number
}

interface Pending {
  resolve(frame: Buffer): void
  reject(error: Error): void
  readonly timer: NodeJS.Timeout
}

/** One TCP connection to a broker. Requests are pipelined; their answers come in the same order (matched by id). */
export class KafkaConnection {
  private readonly pending = new Map<number, Pending>()
  private readonly versions = new Map<number, { min: number; max: number }>()
  private nextCorrelationId = 1
  private chunks: Buffer[] = []
  private bufferedBytes = 0
  private failure: Error | undefined

  private constructor(
    readonly address: Address,
    private readonly socket: Socket,
    private readonly clientId: string,
  ) {
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.onData(chunk))
    socket.on('error', (error) => this.fail(error.message))
    socket.on('close', () => this.fail('the broker closed the connection'))
  }

  /** Connects and learns which versions the broker speaks. @throws KafkaConnectionError */
  static async open(address: Address, options: ConnectionOptions): Promise<KafkaConnection> {
    const socket = await openSocket(address, options.connectTimeoutMs)
    const connection = new KafkaConnection(address, socket, options.clientId)
    try {
      const body = { clientSoftwareName: 'kogge', clientSoftwareVersion: '1' }
      const answer = await connection.sendVersion(
        ApiVersions,
        API_VERSIONS_VERSION,
        body,
        options.connectTimeoutMs,
      )
      if (answer.errorCode !== 0) throw new KafkaError(answer.errorCode)
      for (const { apiKey, minVersion, maxVersion } of answer.apiKeys) {
        connection.versions.set(apiKey, { min: minVersion, max: maxVersion })
      }
      return connection
    } catch (error) {
      connection.close()
      throw error
    }
  }

  get isOpen(): boolean {
    return this.failure === undefined
  }

  /**
   * Sends at the highest version that both sides speak, and at most `maxVersion`.
   * @throws KafkaConnectionError where the connection breaks or nothing comes within `timeoutMs`, KafkaError where the broker lacks the API
   */
  async send<Req, Res, ReqIn, ResOut>(
    api: Api<Req, Res, ReqIn, ResOut>,
    body: ReqIn,
    timeoutMs: number,
    maxVersion = api.maxVersion,
  ): Promise<ResOut> {
    const offered = this.versions.get(api.key)
    const version = Math.min(api.maxVersion, maxVersion, offered?.max ?? -1)
    if (offered === undefined || version < Math.max(api.minVersion, offered.min)) {
      throw new KafkaError(
        ErrorCode.UNSUPPORTED_VERSION,
        `The broker does not offer ${api.name} in a version that kogge speaks`,
      )
    }
    return this.sendVersion(api, version, body, timeoutMs)
  }

  close(): void {
    this.fail('closed')
  }

  private async sendVersion<Req, Res, ReqIn, ResOut>(
    api: Api<Req, Res, ReqIn, ResOut>,
    version: number,
    body: ReqIn,
    timeoutMs: number,
  ): Promise<ResOut> {
    const correlationId = this.nextCorrelationId++ & 0x7fffffff
    const chunks = withSize(encodeRequest(api, version, { correlationId, clientId: this.clientId }, body))
    const frame = await new Promise<Buffer>((resolve, reject) => {
      if (this.failure !== undefined) {
        reject(this.failure)
        return
      }
      const timer = setTimeout(() => this.fail(`no answer to ${api.name} within ${timeoutMs} ms`), timeoutMs)
      this.pending.set(correlationId, { resolve, reject, timer })
      this.socket.cork()
      for (const chunk of chunks) this.socket.write(chunk)
      this.socket.uncork()
    })
    const answer = decodeResponse(api, version, frame)
    if (!(answer instanceof WireError)) return answer.body
    this.fail(`an answer to ${api.name} that cannot be read: ${answer.message}`)
    throw this.failure
  }

  private onData(chunk: Buffer): void {
    this.chunks.push(chunk)
    this.bufferedBytes += chunk.length
    for (;;) {
      const size = this.frameBytes()
      if (size === undefined || this.bufferedBytes < size + 4) return
      if (size < 4 || size > MAX_FRAME_BYTES) {
        this.fail(`a frame of ${size} bytes`)
        return
      }
      const all = this.chunks.length === 1 ? this.chunks[0]! : Buffer.concat(this.chunks)
      const rest = all.subarray(size + 4)
      this.chunks = rest.length > 0 ? [rest] : []
      this.bufferedBytes = rest.length
      this.onFrame(all.subarray(4, size + 4))
    }
  }

  /** Of the frame that the buffered bytes begin with. */
  private frameBytes(): number | undefined {
    if (this.bufferedBytes < 4) return undefined
    if (this.chunks[0]!.length < 4) this.chunks = [Buffer.concat(this.chunks)]
    return this.chunks[0]!.readInt32BE(0)
  }

  private onFrame(frame: Buffer): void {
    const correlationId = frame.readInt32BE(0)
    const pending = this.pending.get(correlationId)
    if (pending === undefined) {
      this.fail(`an answer to request ${correlationId}, which was never sent`)
      return
    }
    this.pending.delete(correlationId)
    clearTimeout(pending.timer)
    pending.resolve(frame)
  }

  private fail(reason: string): void {
    if (this.failure !== undefined) return
    this.failure = new KafkaConnectionError(`${this.address.host}:${this.address.port}: ${reason}`)
    this.socket.destroy()
    for (const { reject, timer } of this.pending.values()) {
      clearTimeout(timer)
      reject(this.failure)
    }
    this.pending.clear()
  }
}

function openSocket({ host, port }: Address, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port })
    const refuse = (reason: string) => {
      socket.destroy()
      reject(new KafkaConnectionError(`${host}:${port}: ${reason}`))
    }
    const timer = setTimeout(() => refuse(`no connection within ${timeoutMs} ms`), timeoutMs)
    const onError = (error: NodeJS.ErrnoException) => {
      clearTimeout(timer)
      refuse(
        error.code === 'ECONNREFUSED'
          ? 'connection refused'
          : error.code === 'ENOTFOUND'
            ? 'no such host'
            : error.message,
      )
    }
    socket.once('error', onError)
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.off('error', onError)
      resolve(socket)
    })
  })
}
