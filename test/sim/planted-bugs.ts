import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'

/** A defect of the kind that the simulation is there to find, as a replacement in the compiled JavaScript. */
export interface PlantedBug {
  readonly name: string
  /** Below the build. */
  readonly file: string
  readonly find: string
  readonly replace: string
  /** One of the invariants, by the beginning of its title, that may catch it. */
  readonly caughtBy: readonly string[]
  /** A short life that catches it. */
  readonly seed: number
}

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'acknowledges-before-replication',
    file: 'src/broker/partitions/leader-appends.js',
    find: 'const waiters = requiredAcks === 1 ? this.untilPromised : this.untilCommitted;',
    replace: 'const waiters = this.untilPromised;',
    caughtBy: ['25', '15', 'no acknowledged record is lost', 'one offset'],
    seed: 1,
  },
  {
    name: 'tells-a-vote-before-it-is-synced',
    file: 'src/broker/quorum/raft-driver.js',
    find: `        this.log.write({ hardState, install: snapshot, truncateFrom, entries }, () => {
            if (this.closed)
                return;
            for (const { to, message } of messages)
                this.send(to, laneOf(message), message);`,
    replace: `        for (const { to, message } of messages)
            this.send(to, laneOf(message), message);
        this.log.write({ hardState, install: snapshot, truncateFrom, entries }, () => {
            if (this.closed)
                return;`,
    caughtBy: ['3 ', '1 ', '8 '],
    seed: 1,
  },
  {
    name: 'truncates-by-high-watermark',
    file: 'src/broker/partitions/partition.js',
    find: `        this.appends.failAll(ErrorCode.NOT_LEADER_OR_FOLLOWER);
        this.wakeAllReads();
        return true;
    }
    /** Deleted`,
    replace: `        this.appends.failAll(ErrorCode.NOT_LEADER_OR_FOLLOWER);
        this.log.truncateTo(Math.max(this.log.logStartOffset, this.lastHighWatermark));
        this.producers.load();
        this.wakeAllReads();
        return true;
    }
    /** Deleted`,
    caughtBy: ['14', '15', '16', '20', '22', '25', 'no acknowledged record is lost'],
    seed: 1,
  },
]

/** Copies the build and plants the bug. @throws Error where the text is not there exactly once */
export function plant(bug: PlantedBug | null, build: string, target: string): void {
  rmSync(target, { recursive: true, force: true })
  cpSync(build, target, { recursive: true })
  if (bug === null) return
  const path = `${target}/${bug.file}`
  const source = readFileSync(path, 'utf8')
  const parts = source.split(bug.find)
  if (parts.length !== 2)
    throw new Error(
      `${bug.name}: its text stands ${parts.length - 1} times in ${bug.file}: the patch must follow the source`,
    )
  writeFileSync(path, parts.join(bug.replace))
}
