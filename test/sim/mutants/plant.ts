import { cpSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'

/** A replacement in the compiled JavaScript. */
export interface Edit {
  /** Below the build. */
  readonly file: string
  /** Must stand there exactly once. */
  readonly find: string
  readonly replace: string
}

/** A defect of the kind that the simulation is there to find. */
export interface PlantedBug extends Edit {
  readonly name: string
  /** What it breaks: a rule of the KIPs or of Raft. */
  readonly rule: string
  /** Where one rule is kept in two places, one defect has to break both. */
  readonly also?: readonly Edit[]
  /** The profile under whose faults it is looked for; else the one that each seed draws. */
  readonly profile?: string
  /** A schedule that shows it, beside one that names it: played before chance is tried. */
  readonly schedule?: string
}

/** The text of each file that the bug changes. @throws Error where what an edit replaces is not there exactly once */
export function patched(bug: PlantedBug, build: string): Map<string, string> {
  const texts = new Map<string, string>()
  for (const { file, find, replace } of [bug, ...(bug.also ?? [])]) {
    const parts = (texts.get(file) ?? readFileSync(`${build}/${file}`, 'utf8')).split(find)
    if (parts.length !== 2)
      throw new Error(
        `${bug.name}: its text stands ${parts.length - 1} times in ${file}: the patch must follow the source`,
      )
    texts.set(file, parts.join(replace))
  }
  return texts
}

/** Copies the build, by links, and plants the bug. @throws Error where the text is not there exactly once */
export function plant(bug: PlantedBug | null, build: string, target: string): void {
  const texts = bug === null ? new Map<string, string>() : patched(bug, build)
  rmSync(target, { recursive: true, force: true })
  for (const folder of ['src', 'test']) linkTree(`${build}/${folder}`, `${target}/${folder}`)
  cpSync(`${build}/proto`, `${target}/proto`, { recursive: true })
  cpSync(`${build}/package.json`, `${target}/package.json`)
  for (const [file, text] of texts) {
    // The link is another name of the original.
    rmSync(`${target}/${file}`)
    writeFileSync(`${target}/${file}`, text)
  }
}

function linkTree(from: string, to: string): void {
  mkdirSync(to, { recursive: true })
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (entry.isDirectory()) linkTree(`${from}/${entry.name}`, `${to}/${entry.name}`)
    else if (!entry.name.endsWith('.map')) linkSync(`${from}/${entry.name}`, `${to}/${entry.name}`)
  }
}
