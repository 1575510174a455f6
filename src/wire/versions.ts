/** Inclusive. An empty range has `from` > `to`. */
export interface VersionRange {
  readonly from: number
  readonly to: number
}

/** The upper end of '7+'. */
export const ALL_LATER = 0x7fff

/** '3', '2-5', '7+' or 'none', as in Kafka's definitions. @throws RangeError */
export function versionRange(text: string): VersionRange {
  if (text === 'none') return { from: 1, to: 0 }
  const match = /^(\d+)(?:(\+)|-(\d+))?$/.exec(text)
  if (match === null) throw new RangeError(`not a version range: ${text}`)
  const from = Number(match[1])
  if (match[2] !== undefined) return { from, to: ALL_LATER }
  return { from, to: match[3] === undefined ? from : Number(match[3]) }
}

export function inRange(range: VersionRange, version: number): boolean {
  return version >= range.from && version <= range.to
}
