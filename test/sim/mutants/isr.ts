import type { PlantedBug } from './plant.js'

/** Who is in sync, who may lead, and whose word counts. */
export const ISR_BUGS: readonly PlantedBug[] = [
  {
    name: 'drops-the-eligible-leaders',
    rule: '966: keep the eligible leader replicas',
    file: 'src/metadata/controller/partition-change.js',
    find: 'if (!outcome.clean || outcome.isr.length >= rules.minIsr)\n        return [];',
    replace: 'if (true)\n        return [];',
  },
  {
    name: 'elects-whoever-is-there',
    rule: '966: only ISR and ELR lead cleanly',
    file: 'src/metadata/controller/partition-change.js',
    find: 'partition.elr.includes(node) && node !== goal.lost && rules.canLead(node));',
    replace: 'node !== goal.lost && rules.canLead(node));',
  },
  {
    name: 'keeps-an-elr-beside-a-whole-isr',
    rule: '966: ISR >= min ISR empties the ELR',
    file: 'src/metadata/controller/partition-change.js',
    find: 'if (!outcome.clean || outcome.isr.length >= rules.minIsr)',
    replace: 'if (!outcome.clean)',
  },
  {
    name: 'advances-below-the-minimum-isr',
    rule: '966: strict min ISR for the high watermark',
    file: 'src/partition/leader-state.js',
    find: 'if (!this.hasEnoughInSync)\n            return false;\n        const isr = maximalIsr(',
    replace: 'const isr = maximalIsr(',
  },
  {
    name: 'takes-a-shrink-for-granted',
    rule: '497: the maximal ISR counts while a change is pending',
    file: 'src/partition/leader-state.js',
    find: 'const isr = maximalIsr(this.isrState);\n        let candidate',
    replace: 'const isr = proposedIsr(this.isrState);\n        let candidate',
  },
  {
    name: 'does-not-wait-for-whoever-it-let-in',
    rule: '497: the maximal ISR counts while a change is pending',
    file: 'src/partition/leader-state.js',
    find: 'if (isr.includes(id) || this.isAboutToJoin(id, replica, nowMs)) {',
    replace: 'if (this.isrState.isr.includes(id)) {',
  },
  {
    name: 'lets-in-below-the-high-watermark',
    rule: '497: a replica joins at or past the high watermark',
    file: 'src/partition/leader-state.js',
    find: 'return replica.fetchOffset >= this.highWatermarkValue && replica.fetchOffset >= this.epochStartOffset;',
    replace: 'return replica.fetchOffset >= 0;',
  },
  {
    name: 'lets-in-below-the-epoch-start',
    rule: "497: a replica joins at or past the epoch's start",
    file: 'src/partition/leader-state.js',
    find: 'return replica.fetchOffset >= this.highWatermarkValue && replica.fetchOffset >= this.epochStartOffset;',
    replace: 'return replica.fetchOffset >= this.highWatermarkValue;',
  },
  {
    name: 'ignores-the-partition-epoch-of-a-change',
    rule: '497: compare-and-set on both epochs',
    file: 'src/metadata/controller/alter-partitions.js',
    find: 'if (asked.partitionEpoch < partition.partitionEpoch)',
    replace: 'if (false)',
  },
  {
    name: 'ignores-both-epochs-of-a-change',
    rule: '497: compare-and-set on both epochs',
    file: 'src/metadata/controller/alter-partitions.js',
    find: 'if (asked.leaderEpoch < partition.leaderEpoch)',
    replace: 'if (false)',
    also: [
      {
        file: 'src/metadata/controller/alter-partitions.js',
        find: 'if (asked.partitionEpoch < partition.partitionEpoch)',
        replace: 'if (false)',
      },
    ],
  },
  {
    name: 'lets-fenced-replicas-in',
    rule: '841: fenced or shutting-down replicas cannot join',
    file: 'src/partition/leader-state.js',
    find: 'if (broker === undefined || broker.fenced || broker.inControlledShutdown)\n            return false;',
    replace: 'if (broker === undefined)\n            return false;',
    also: [
      {
        file: 'src/metadata/controller/alter-partitions.js',
        find: 'if (broker === undefined || broker.fenced || broker.epoch !== member.brokerEpoch)',
        replace: 'if (broker === undefined || broker.epoch !== member.brokerEpoch)',
      },
    ],
  },
  {
    name: 'lets-in-who-fetched-under-an-old-registration',
    rule: '903: broker epochs are compared',
    file: 'src/partition/leader-state.js',
    find: 'return replica.brokerEpoch === broker.epoch;',
    replace: 'return true;',
    also: [
      {
        file: 'src/metadata/controller/alter-partitions.js',
        find: 'if (broker === undefined || broker.fenced || broker.epoch !== member.brokerEpoch)',
        replace: 'if (broker === undefined || broker.fenced)',
      },
    ],
  },
  {
    name: 'leaves-a-restarted-leader-its-epoch',
    rule: '903: a new incarnation bumps the epoch of what it led',
    file: 'src/metadata/controller/brokers.js',
    find: '|| !fenceBroker(state, id))',
    replace: ')',
  },
  {
    name: 'unfences-before-the-broker-has-caught-up',
    rule: 'Unfencing waits until the registration is applied',
    file: 'src/metadata/controller/sessions.js',
    find: 'return session.appliedIndex >= session.unfenceIndex;',
    replace: 'return true;',
  },
  {
    name: 'takes-one-in-sync-replica-for-enough',
    rule: 'Minimum ISR is min(min.insync.replicas, replica count) everywhere',
    file: 'src/metadata/configs.js',
    find: 'return Math.min(minInsyncReplicas, replicas);',
    replace: 'return 1;',
  },
  {
    name: 'lets-a-quarantined-replica-lead',
    rule: '966: a replica whose log was quarantined leaves ISR and ELR',
    file: 'src/metadata/controller/brokers.js',
    find: 'dropQuarantined(state, command);',
    replace: ';',
    profile: 'disks',
  },
]
