import type { PlantedBug } from './plant.js'

/** The coordinators of groups. */
export const COORDINATOR_BUGS: readonly PlantedBug[] = [
  {
    name: 'answers-a-commit-before-it-is-committed',
    rule: 'Coordinators: acknowledged is committed',
    file: 'src/broker/coordinators/shard-log.js',
    find: 'requiredAcks: -1,',
    replace: 'requiredAcks: 0,',
  },
  {
    name: 'serves-groups-before-their-log-is-read',
    rule: 'Coordinators: nothing is served before the log is read',
    file: 'src/broker/coordinators/shard-log.js',
    find: 'else if (this.appliedOffset >= this.epochStartOffset) {',
    replace: 'else if (true) {',
  },
  {
    name: 'completes-writes-under-any-leadership',
    rule: 'KAFKA-20634: a coordinator completes writes under its own leader epoch',
    file: 'src/broker/coordinators/shard-log.js',
    find: 'expectedLeaderEpoch: this.leaderEpoch,',
    replace: '',
    also: [
      {
        file: 'src/broker/coordinators/group-runtime.js',
        find: `        this.unload(partitionId);
        if (isLeader)
            this.load(event);`,
        replace: `        if (isLeader && !this.shards.has(partitionId))
            this.load(event);`,
      },
      {
        file: 'src/broker/coordinators/group-runtime.js',
        find: 'return leadership?.isLeader === true && leadership.leaderEpoch === shard.leaderEpoch;',
        replace: 'return leadership?.isLeader === true;',
      },
    ],
  },
]
