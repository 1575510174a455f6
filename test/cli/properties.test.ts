import { describe, expect, it } from 'vitest'
import { parseProperties } from '../../src/cli/config/properties.js'

const pairs = (text: string) => parseProperties(text).map(({ key, value }) => [key, value])

describe("Java's properties syntax", () => {
  it.each([
    ['key=value', [['key', 'value']]],
    ['key = value', [['key', 'value']]],
    ['key: value', [['key', 'value']]],
    ['key value', [['key', 'value']]],
    ['  key=value', [['key', 'value']]],
    ['key', [['key', '']]],
    ['key=', [['key', '']]],
    ['key=a=b', [['key', 'a=b']]],
    ['# a\n! b\n\n  # c\nk=v', [['k', 'v']]],
    [
      'a=1\r\nb=2\rc=3',
      [
        ['a', '1'],
        ['b', '2'],
        ['c', '3'],
      ],
    ],
    ['list=a,\\\n     b,\\\n     c', [['list', 'a,b,c']]],
    [
      'a=x\\\\\nb=y',
      [
        ['a', 'x\\'],
        ['b', 'y'],
      ],
    ],
    ['a\\=b=c', [['a=b', 'c']]],
    ['path=C\\:\\\\logs\\tx', [['path', 'C:\\logs\tx']]],
    ['a=\\u00fc', [['a', 'ü']]],
    ['a=# no comment', [['a', '# no comment']]],
    ['a=1\\\n# joined', [['a', '1# joined']]],
  ])('%j', (text, expected) => {
    expect(pairs(text)).toEqual(expected)
  })

  it('counts lines from 1, a joined one by its first', () => {
    expect(parseProperties('#\na=1,\\\n2\nb=3').map(({ key, line }) => [key, line])).toEqual([
      ['a', 2],
      ['b', 4],
    ])
  })

  it('refuses a broken \\u', () => {
    expect(() => parseProperties('a=1\nb=\\u00g1')).toThrow(
      'line 2: \\u must be followed by four hexadecimal digits',
    )
  })
})
