import { type Anomaly, type AnomalyType, anomaly } from './anomalies.js'
import { pollsOf } from './history.js'
import type { Evidence } from './version-order.js'

/** Adjacency by place in the history. */
type Graph = Map<number, Set<number>>

/** Cycles of dependencies between operations (Adya's G0 and G1c). */
export function checkCycles(evidence: Evidence): Anomaly[] {
  const ww = writeWriteEdges(evidence)
  const wr = writeReadEdges(evidence)
  const found: Anomaly[] = []
  const report = (type: AnomalyType, cycle: number[], name: string): void => {
    found.push(anomaly(type, `operations ${cycle.join(', ')} depend on each other by ${name} edges`, cycle))
  }
  const wwCycles = cyclesOf(ww)
  const wrCycles = cyclesOf(wr)
  for (const cycle of wwCycles) report('G0', cycle, 'write-write')
  for (const cycle of wrCycles) report('G1c', cycle, 'write-read')
  const known = new Set([...wwCycles, ...wrCycles].map((cycle) => cycle.join()))
  for (const cycle of cyclesOf(union(ww, wr))) {
    if (!known.has(cycle.join())) report('G1c-ww', cycle, 'write-write and write-read')
  }
  return found
}

/** From the writer of each version to the writer of the next. */
function writeWriteEdges(evidence: Evidence): Graph {
  const graph: Graph = new Map()
  for (const [partition, order] of evidence.orders) {
    let before: number | undefined
    for (const offset of order.offsets()) {
      for (const value of order.values(offset)) {
        const writer = evidence.writers.get(partition)?.get(value)?.op
        if (writer === undefined || !evidence.committed[writer]) continue
        if (before !== undefined) addEdge(graph, before, writer)
        before = writer
      }
    }
  }
  return graph
}

/** From the writer of a value to each operation that read it. */
function writeReadEdges(evidence: Evidence): Graph {
  const graph: Graph = new Map()
  evidence.history.forEach((operation, op) => {
    if (operation.type !== 'ok') return
    for (const [partition, records] of pollsOf(operation)) {
      for (const [, value] of records) {
        const writer = evidence.writers.get(partition)?.get(value)?.op
        if (writer !== undefined) addEdge(graph, writer, op)
      }
    }
  })
  return graph
}

function addEdge(graph: Graph, from: number, to: number): void {
  if (from === to) return
  const targets = graph.get(from)
  if (targets === undefined) graph.set(from, new Set([to]))
  else targets.add(to)
}

function union(a: Graph, b: Graph): Graph {
  const graph: Graph = new Map()
  for (const each of [a, b])
    for (const [from, targets] of each) for (const to of targets) addEdge(graph, from, to)
  return graph
}

interface Frame {
  readonly node: number
  readonly targets: Iterator<number>
}

/** Strongly connected components of two or more (Tarjan 1972), without recursion: histories are long. Sorted. */
function cyclesOf(graph: Graph): number[][] {
  const index = new Map<number, number>()
  const low = new Map<number, number>()
  const stack: number[] = []
  const onStack = new Set<number>()
  const components: number[][] = []
  const enter = (node: number): Frame => {
    index.set(node, index.size)
    low.set(node, index.get(node)!)
    stack.push(node)
    onStack.add(node)
    return { node, targets: (graph.get(node) ?? new Set<number>()).values() }
  }
  const lower = (node: number, bound: number): void => {
    low.set(node, Math.min(low.get(node)!, bound))
  }
  for (const root of graph.keys()) {
    if (index.has(root)) continue
    const frames = [enter(root)]
    while (frames.length > 0) {
      const { node, targets } = frames.at(-1)!
      const next = targets.next()
      if (next.done !== true) {
        if (!index.has(next.value)) frames.push(enter(next.value))
        else if (onStack.has(next.value)) lower(node, index.get(next.value)!)
        continue
      }
      frames.pop()
      if (frames.length > 0) lower(frames.at(-1)!.node, low.get(node)!)
      if (low.get(node) !== index.get(node)) continue
      const component = stack.splice(stack.lastIndexOf(node))
      for (const each of component) onStack.delete(each)
      if (component.length > 1) components.push(component.sort((a, b) => a - b))
    }
  }
  return components
}
