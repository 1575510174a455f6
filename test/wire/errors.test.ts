import { expect, it } from 'vitest'
import { crc32c } from '../../src/wire/crc32c.js'
import { defaultMessage, ErrorCode, errorName, isRetriable } from '../../src/wire/errors.js'

it('has every code of Kafka 4.3 once, from -1 to 133', () => {
  const codes = Object.values(ErrorCode).sort((a, b) => a - b)
  expect(codes).toEqual(Array.from({ length: 135 }, (_, i) => i - 1))
})

it('names codes, and does not fail on those of a newer Kafka', () => {
  expect(errorName(ErrorCode.NOT_LEADER_OR_FOLLOWER)).toBe('NOT_LEADER_OR_FOLLOWER')
  expect(errorName(999)).toBe('ERROR_999')
  expect(isRetriable(999)).toBe(false)
})

it('says which errors may be retried', () => {
  // Those that Kafka's own classes call retriable (RetriableException), by code.
  const retriable = [
    2, 3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 41, 51, 56, 70, 71, 72, 74, 75, 78, 80, 83, 84, 88, 89, 100,
    103, 106, 122, 123, 133,
  ]
  expect(Object.values(ErrorCode).filter(isRetriable)).toEqual(retriable)
})

it('has a message for every error but NONE', () => {
  for (const code of Object.values(ErrorCode)) {
    if (code === 0) expect(defaultMessage(code)).toBe('')
    else expect(defaultMessage(code)).toMatch(/^\S.*\.$/)
  }
})

it('computes the CRC-32C of RFC 3720, whole and in pieces', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa)
  expect(crc32c(Buffer.from('6789'), crc32c(Buffer.from('12345')))).toBe(0xe3069283)
})
