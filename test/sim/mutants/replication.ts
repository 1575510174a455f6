import type { PlantedBug } from './plant.js'

/** The data plane: logs, epochs, high watermarks, durability and producers. */
export const REPLICATION_BUGS: readonly PlantedBug[] = [
  {
    name: 'truncates-by-high-watermark',
    rule: '101: truncate by leader epoch, never by the high watermark',
    file: 'src/broker/partitions/partition.js',
    find: `        this.appends.failAll(ErrorCode.NOT_LEADER_OR_FOLLOWER);
        this.wakeAllReads();
        return true;`,
    replace: `        this.appends.failAll(ErrorCode.NOT_LEADER_OR_FOLLOWER);
        this.log.truncateTo(Math.max(this.log.logStartOffset, this.lastHighWatermark));
        this.producers.load();
        this.wakeAllReads();
        return true;`,
  },
  {
    name: 'never-looks-for-a-divergence',
    rule: '101: truncate by leader epoch',
    file: 'src/broker/partitions/partition-reads.js',
    find: 'if (asked.lastFetchedEpoch < 0)\n        return null;',
    replace: 'return null;',
    schedule: 'double-failover',
  },
  {
    name: 'cuts-where-the-leader-says-alone',
    rule: '279: answer epoch and end offset, and iterate',
    file: 'src/partition/follower-state.js',
    find: 'if (own.epoch >= 0)\n        return within(own.endOffset);',
    replace: ';',
  },
  {
    name: 'answers-with-its-own-end-for-every-epoch',
    rule: '279: answer the largest epoch at or below, and where it ends',
    file: 'src/log/epoch-cache.js',
    find: 'if (epoch === this.latest)\n            return { epoch, endOffset: logEndOffset };',
    replace: 'return { epoch, endOffset: logEndOffset };',
    schedule: 'double-failover',
  },
  {
    name: 'does-not-record-an-epoch-without-batches',
    rule: '279: a new leader records its epoch at its log end, even when empty',
    file: 'src/broker/partitions/partition.js',
    find: 'if (log.latestEpoch < image.leaderEpoch)\n            log.assignEpochStart(image.leaderEpoch, log.logEndOffset);',
    replace: ';',
    profile: 'crashes',
  },
  {
    name: 'keeps-epochs-of-what-was-cut',
    rule: 'KAFKA-10706: trim the epoch cache',
    file: 'src/log/partition-log.js',
    find: 'this.flush.lowerDurableEnd(this.endOffset);\n        this.epochs.truncateFromEnd(this.endOffset);',
    replace: 'this.flush.lowerDurableEnd(this.endOffset);',
    also: [
      {
        file: 'src/log/partition-log.js',
        find: 'this.epochs.truncateFromEnd(offset);\n            return;',
        replace: 'return;',
      },
    ],
    schedule: 'double-failover',
  },
  {
    name: 'serves-whatever-epoch-is-asked',
    rule: '320: check currentLeaderEpoch',
    file: 'src/broker/partitions/partition-reads.js',
    find: 'if (currentLeaderEpoch < 0 || currentLeaderEpoch === partition.leaderEpoch)',
    replace: 'if (true)',
    also: [
      {
        file: 'src/broker/partitions/fetch-task.js',
        find: "'errorCode' in found || asked.currentLeaderEpoch !== found.partition.leaderEpoch",
        replace: "'errorCode' in found",
      },
    ],
  },
  {
    name: 'counts-offsets-of-a-diverging-log',
    rule: 'KAFKA-14704: reconcile before the high watermark moves',
    file: 'src/broker/partitions/fetch-task.js',
    find: 'if (!this.isPlausible(asked, found.partition))\n                continue;',
    replace: ';',
  },
  {
    name: 'takes-over-the-high-watermark-unseen',
    rule: 'KAFKA-14704: truncate before advancing the high watermark',
    file: 'src/partition/follower-state.js',
    find: 'const next = Math.min(leaderHighWatermark, logEndOffset);',
    replace: 'const next = leaderHighWatermark;',
  },
  {
    name: 'applies-the-high-watermark-of-a-diverging-answer',
    rule: 'KAFKA-14704: truncate before advancing the high watermark',
    file: 'src/broker/partitions/replica-fetcher.js',
    find: 'const { divergingEpoch } = answer;',
    replace: `const { divergingEpoch } = answer;
        if (divergingEpoch.epoch >= 0 && partition.role.type === 'follower') {
            partition.role.state.onFetched(partition.log.logEndOffset, partition.log.logEndOffset, answer.highWatermark);
            partition.lastHighWatermark = partition.highWatermark;
            return this.backOff(entry, 'later');
        }`,
    schedule: 'double-failover',
  },
  {
    name: 'promises-before-its-fsync',
    rule: 'Durability order: the follower syncs before it advertises',
    file: 'src/broker/partitions/partition.js',
    find: `        if (!this.waitsForDisk || this.log.isSynced) {
            ready();`,
    replace: `        if (true) {
            ready();`,
  },
  {
    name: 'counts-itself-before-its-fsync',
    rule: 'Durability order: the leader counts itself after its fsync',
    file: 'src/broker/partitions/partition.js',
    find: 'return this.waitsForDisk ? this.log.durableEndOffset : this.log.logEndOffset;',
    replace: 'return this.log.logEndOffset;',
  },
  {
    name: 'does-not-sync-the-entry-of-a-new-segment',
    rule: "Durability order: a new segment's directory entry is synced",
    file: 'src/log/log-flush.js',
    find: 'if (this.directoryDirty)\n            directories.push(directory);',
    replace: ';',
  },
  {
    name: 'takes-a-failed-sync-for-a-good-one',
    rule: 'Durability order: a failed sync is never repeated nor forgotten',
    file: 'src/log/log-flush.js',
    find: `        if (error === null && this.faults.failure === null) {`,
    replace: `        error = null;
            if (true) {`,
    profile: 'disks',
  },
  {
    name: 'keeps-the-mark-of-a-clean-stop',
    rule: 'KAFKA-15375: the clean-shutdown mark stands for a full load and flush',
    file: 'src/log/clean-shutdown.js',
    find: 'disk.unlink(CLEAN_SHUTDOWN);',
    replace: ';',
    profile: 'crashes',
  },
  {
    name: 'appends-what-is-damaged',
    rule: 'KAFKA-18723: a follower checks the CRC',
    file: 'src/broker/partitions/replica-batches.js',
    find: 'if (!verifyCrc(batch))',
    replace: 'if (false)',
    also: [
      {
        file: 'src/log/segment-read.js',
        find: 'if (crc32c(bytes.subarray(at + CRC_FROM, at + header.sizeInBytes)) !== header.crc) {',
        replace: 'if (false) {',
      },
    ],
    profile: 'disks',
  },
  {
    name: 'acknowledges-before-replication',
    rule: 'acks=all waits for the high watermark',
    file: 'src/broker/partitions/leader-appends.js',
    find: 'const waiters = requiredAcks === 1 ? this.untilPromised : this.untilCommitted;',
    replace: 'const waiters = this.untilPromised;',
  },
  {
    name: 'acknowledges-duplicates-at-once',
    rule: 'acks=all waits for the high watermark, repeats too',
    file: 'src/broker/partitions/leader-appends.js',
    find: 'this.hold(check.batch.lastOffset + 1, this.success(check.batch.baseOffset, timeMs), options, done);',
    replace: 'this.answerLater(done, this.success(check.batch.baseOffset, timeMs));',
  },
  {
    name: 'acknowledges-what-its-lost-leadership-appended',
    rule: 'acks=all: what becomes of it is not known any more',
    file: 'src/broker/partitions/leader-appends.js',
    find: `        for (const one of waiting)
            this.finish(one, failure);
    }
    refuse(`,
    replace: `        for (const one of waiting)
            this.finish(one, one.result);
    }
    refuse(`,
    schedule: 'unreconciled-follower',
  },
  {
    name: 'shows-what-is-not-committed',
    rule: 'Consumers read below the high watermark',
    file: 'src/broker/partitions/partition-reads.js',
    find: 'const limit = asked.isReplica ? log.logEndOffset : leader.state.highWatermark;',
    replace: 'const limit = log.logEndOffset;',
  },
  {
    name: 'resets-consumers-beyond-the-high-watermark',
    rule: 'Fetch beyond the HW is an empty answer',
    file: 'src/broker/partitions/partition-reads.js',
    find: 'if (asked.fetchOffset > log.logEndOffset)',
    replace: 'if (asked.fetchOffset > (asked.isReplica ? log.logEndOffset : leader.state.highWatermark))',
    schedule: 'high-watermark-truncation',
  },
  {
    name: 'tells-the-end-before-it-knows-it',
    rule: 'ListOffsets(latest) never regresses, elections included',
    file: 'src/broker/requests/list-offsets.js',
    find: '!isReplica && !leader.state.isHighWatermarkCurrent',
    replace: 'false',
    schedule: 'high-watermark-truncation',
  },
  {
    name: 'appends-repeated-sequences',
    rule: 'A sequence is appended once',
    file: 'src/partition/producer-state.js',
    find: "if (duplicate !== undefined)\n            return { type: 'duplicate', batch: duplicate };",
    replace: 'if (duplicate !== undefined)\n            return OK;',
  },
  {
    name: 'tells-an-end-as-the-last-stable-offset',
    rule: 'Consumers read below the high watermark, and below the last stable offset',
    file: 'src/broker/requests/fetch.js',
    find: 'lastStableOffset: read.highWatermark',
    replace: 'lastStableOffset: read.highWatermark + 1',
  },
  {
    name: 'followers-know-no-producers',
    rule: 'A sequence is appended once, across elections',
    file: 'src/broker/partitions/partition.js',
    find: 'for (const header of parsed.headers)\n                    this.producers.recordHeader(header);',
    replace: ';',
  },
  {
    name: 'remembers-producers-of-what-was-cut',
    rule: 'A sequence is appended once, across truncations',
    file: 'src/broker/partitions/partition.js',
    find: 'change();\n            this.producers.load();',
    replace: 'change();',
  },
  {
    name: 'trusts-the-pages-of-a-failed-fsync',
    rule: 'Durability order: what an fsync failed to write is written again',
    file: 'src/log/recovery.js',
    find: 'rewrite.add(position, batch);',
    replace: ';',
    profile: 'disks',
  },
]
