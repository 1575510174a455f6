import type { DiskFile } from '../ports/disk.js'

const REWRITE_BYTES = 1024 * 1024

/**
 * Writes bytes back to where they were read. After an fsync that failed the kernel takes the pages for clean: whoever
 * starts next reads them from the page cache, and an fsync succeeds that puts none of them on the disk ("Can
 * Applications Recover from fsync Failures?", USENIX ATC 2020).
 */
export class Rewrite {
  private chunks: Uint8Array[] = []
  private position = 0
  private bytes = 0

  constructor(private readonly file: DiskFile) {}

  /** Of what follows on the chunk before. @throws DiskError */
  add(position: number, chunk: Uint8Array): void {
    if (this.bytes === 0) this.position = position
    this.chunks.push(chunk)
    this.bytes += chunk.length
    if (this.bytes >= REWRITE_BYTES) this.finish()
  }

  /** @throws DiskError */
  finish(): void {
    if (this.bytes > 0) this.file.write(this.position, this.chunks)
    this.chunks = []
    this.bytes = 0
  }
}
