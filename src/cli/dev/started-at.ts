import { readFileSync } from 'node:fs'

/** Linux counts a process's start in ticks of 10 ms. */
const MS_PER_TICK = 10
const MAX_ANCESTORS = 8

/** Milliseconds since the user's command began: since npm's own start where npm runs us, else since this process's. */
export function elapsedSinceCommandMs(): number {
  const ownMs = process.uptime() * 1000
  if (process.env.npm_lifecycle_event === undefined) return ownMs
  const own = processStat(process.pid)
  if (own === undefined) return ownMs
  let earliest = own.startTicks
  let parent = own.parent
  for (let i = 0; i < MAX_ANCESTORS; i++) {
    const stat = processStat(parent)
    // npm runs a script through a shell; whatever stands above npm is the user's.
    if (stat === undefined || !/^(sh|dash|bash|npm|node)\b/.test(stat.name)) break
    if (/^(npm|node)/.test(stat.name)) {
      earliest = stat.startTicks
      break
    }
    parent = stat.parent
  }
  return ownMs + (own.startTicks - earliest) * MS_PER_TICK
}

function processStat(pid: number): { name: string; parent: number; startTicks: number } | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined // no /proc: not Linux
  }
  // The name stands in parentheses and may hold spaces; the fields after it do not (man 5 proc).
  const end = text.lastIndexOf(')')
  const fields = text.slice(end + 2).split(' ')
  return {
    name: text.slice(text.indexOf('(') + 1, end),
    parent: Number(fields[1]),
    startTicks: Number(fields[19]),
  }
}
