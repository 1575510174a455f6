import type { PlantedBug } from './plant.js'

/** Elections, Raft's log, and the controller on top of it. */
export const RAFT_BUGS: readonly PlantedBug[] = [
  {
    name: 'votes-again-in-the-same-term',
    rule: 'Raft §5.2',
    file: 'src/raft/campaign.js',
    find: 'if (core.vote !== undefined && !sameVoter(core.vote, message.candidate))',
    replace: 'if (false)',
    profile: 'crashes',
  },
  {
    name: 'forgets-its-vote',
    rule: 'Raft order: term and vote are fsynced, then sent',
    file: 'src/raft/core.js',
    find: 'this.outbox.writeHardState(vote === undefined ? { term: this.term } : { term: this.term, vote });',
    replace: 'this.outbox.writeHardState({ term: this.term });',
  },
  {
    name: 'tells-a-vote-before-it-is-synced',
    rule: 'Raft order: fsync, then send',
    file: 'src/raft/outbox.js',
    find: `        effects.push(...this.others);
        this.sends = [];`,
    replace: `        for (const effect of effects)
            if (effect.type === 'persist')
                effects.unshift(...effect.messages.splice(0).map((outgoing) => ({ type: 'send', ...outgoing })));
        effects.push(...this.others);
        this.sends = [];`,
  },
  {
    name: 'answers-under-a-term-that-is-not-durable',
    rule: 'Raft order: fsync, then send',
    file: 'src/raft/outbox.js',
    find: 'if (this.isHardStateDurable)\n            this.sends.push({ to, message });',
    replace: 'if (true)\n            this.sends.push({ to, message });',
  },
  {
    name: 'confirms-entries-before-they-are-synced',
    rule: 'Raft order: fsync, then send',
    file: 'src/raft/follower.js',
    find: `    outbox.sendDurable(from, {
        type: 'appendReply',`,
    replace: `    outbox.send(from, {
        type: 'appendReply',`,
  },
  {
    name: 'counts-its-own-unsynced-entries',
    rule: 'Raft order: fsync, then send',
    file: 'src/raft/leader.js',
    find: 'matches.push(core.outbox.durableIndex);',
    replace: 'matches.push(core.log.lastIndex);',
  },
  {
    name: 'votes-for-a-shorter-log',
    rule: 'Raft §5.4.1',
    file: 'src/raft/campaign.js',
    find: 'return core.log.isUpToDate(message.lastIndex, message.lastTerm);',
    replace: 'return true;',
  },
  {
    name: 'commits-entries-of-earlier-terms-by-counting',
    rule: 'Raft §5.4.2 (figure 8)',
    file: 'src/raft/leader.js',
    find: 'if (index <= core.commitIndex || core.log.termAt(index) !== core.term) {',
    replace: 'if (index <= core.commitIndex) {',
  },
  {
    name: 'commits-with-one-less-than-a-majority',
    rule: 'Raft §5.3',
    file: 'src/raft/quorum.js',
    find: 'return descending[majoritySize(values.length) - 1];',
    replace: 'return descending[Math.max(0, majoritySize(values.length) - 2)];',
  },
  {
    name: 'commits-what-a-heartbeat-names-unseen',
    rule: 'Raft §5.3: log matching before commit',
    file: 'src/raft/leader.js',
    find: `    const commitIndex = Math.min(core.commitIndex, progress.matchIndex);
    progress.toldCommitIndex = commitIndex;`,
    replace: `    const commitIndex = core.commitIndex;
    progress.toldCommitIndex = commitIndex;`,
    also: [
      {
        file: 'src/raft/follower.js',
        find: `    if (core.log.termAt(message.commitIndex) === message.commitTerm)
        core.commitTo(message.commitIndex);`,
        replace: '    core.commitTo(Math.min(message.commitIndex, core.log.lastIndex));',
      },
    ],
    profile: 'partitions',
    schedule: 'divergent-tails',
  },
  {
    name: 'keeps-entries-that-contradict-the-leader',
    rule: 'Raft §5.3: log matching',
    file: 'src/raft/follower.js',
    find: 'entry.index > core.commitIndex && log.termAt(entry.index) !== entry.term);',
    replace: 'entry.index > core.commitIndex && log.termAt(entry.index) === undefined);',
  },
  {
    name: 'appends-without-looking-at-the-entry-before',
    rule: 'Raft §5.3: log matching',
    file: 'src/raft/follower.js',
    find: 'const matches = previousIndex <= core.commitIndex || log.termAt(previousIndex) === previousTerm;',
    replace: 'const matches = previousIndex <= log.lastIndex;',
    profile: 'partitions',
  },
  {
    name: 'campaigns-without-pre-vote',
    rule: '996: pre-vote',
    file: 'src/raft/campaign.js',
    find: `    core.announce(cause);
    if (core.isAlone) {`,
    replace: `    core.announce(cause);
    if (true) {`,
  },
  {
    name: 'helps-to-depose-a-live-leader',
    rule: '996: followers reject pre-vote while their leader is alive',
    file: 'src/raft/campaign.js',
    find: 'return message.term > core.term && !core.isLeaderAlive && isEligible(core, message);',
    replace: 'return message.term > core.term && isEligible(core, message);',
    profile: 'partitions',
  },
  {
    name: 'takes-a-pre-vote-for-a-vote',
    rule: '996: pre-vote changes nothing',
    file: 'src/raft/campaign.js',
    find: 'if (!preVote && granted) {',
    replace: 'if (granted) {',
  },
  {
    name: 'leads-on-without-a-quorum',
    rule: '595 / KAFKA-15489: the leader resigns without majority contact',
    file: 'src/raft/leader.js',
    find: 'if (nowMs >= quorumContactMs(core, leader) + checkQuorumMs(core)) {',
    replace: 'if (false) {',
    also: [
      {
        file: 'src/raft/leader.js',
        find: 'const deadlines = [leader.heartbeatDeadlineMs, quorumContactMs(core, leader) + checkQuorumMs(core)];',
        replace: 'const deadlines = [leader.heartbeatDeadlineMs];',
      },
    ],
    profile: 'partitions',
  },
  {
    name: 'leads-the-same-term-again-after-a-restart',
    rule: 'KAFKA-10527: restart as resigned',
    file: 'src/raft/raft.js',
    find: 'this.core = new RaftCore(options);',
    replace: `this.core = new RaftCore(options);
        if (this.core.vote?.nodeId === this.core.self.nodeId && this.core.term > 1)
            becomeLeader(this.core, (this.core.role = { type: 'candidate', votes: new Map(), startedMs: 0, cause: 'started' }));`,
    also: [
      {
        file: 'src/raft/raft.js',
        find: "import { RaftCore } from './core.js';",
        replace: "import { RaftCore } from './core.js';\nimport { becomeLeader } from './leader.js';",
      },
    ],
  },
  {
    name: 'acts-as-the-controller-before-it-knows-the-log',
    rule: 'KAFKA-17333: act only after reaching the log end',
    file: 'src/broker/quorum/cluster-member.js',
    find: 'if (state.appliedIndex < node.firstIndexOfTerm)\n            return;\n        controller.activate(',
    replace: 'controller.activate(',
    also: [
      {
        file: 'src/broker/quorum/cluster-member.js',
        find: `            this.controller.deactivate();
        this.announceLeader();`,
        replace: `            this.controller.deactivate();
        this.activateWhereDue();
        this.announceLeader();`,
      },
    ],
    profile: 'partitions',
  },
  {
    name: 'replies-before-the-change-is-committed',
    rule: 'Controller replies wait for the commit',
    file: 'src/broker/quorum/active-controller.js',
    find: 'if (this.speculativeIndex <= this.state.appliedIndex)\n            done(reply);',
    replace: 'if (true)\n            done(reply);',
  },
  {
    name: 'confirms-what-its-lost-leadership-had-proposed',
    rule: 'Controller replies wait for the commit in the same term',
    file: 'src/broker/quorum/active-controller.js',
    find: `        for (const { done } of waiting) {
            done(failed('notController', 'the controller lost its leadership before the change was committed'));`,
    replace: `        for (const { done, reply } of waiting) {
            done(reply);`,
    profile: 'partitions',
  },
  {
    name: 'snapshots-leave-features-out',
    rule: 'Raft §7: a snapshot is the whole state',
    file: 'src/metadata/replay.js',
    find: "yield { type: 'featureLevelRecord', name, level };",
    replace: ';',
  },
  {
    name: 'takes-a-snapshot-for-older-than-it-is',
    rule: 'Raft §7',
    file: 'src/broker/quorum/state-machine.js',
    find: 'this.image = this.restored;',
    replace: 'this.image = MutableImage.replay([...this.restored.records()].slice(0, -1));',
  },
  {
    name: 'waits-for-a-dead-leader',
    rule: '996: a broken connection and a refused dial end the stickiness',
    file: 'src/raft/follower.js',
    find: "if (core.role.type !== 'follower' || core.leader !== peer)",
    replace: 'if (true)',
  },
  {
    name: 'leads-on-with-a-stalled-disk',
    rule: '996: a leader whose disk stalls past the election time-out resigns',
    file: 'src/raft/leader.js',
    find: 'if (oldestMs !== undefined && nowMs >= oldestMs + core.timing.electionTimeoutMaxMs) {',
    replace: 'if (false) {',
    also: [
      {
        file: 'src/raft/leader.js',
        find: 'deadlines.push(oldestMs + core.timing.electionTimeoutMaxMs);',
        replace: ';',
      },
    ],
  },
  {
    name: 'heartbeats-wait-for-the-disk',
    rule: '996: heartbeats never wait for the disk',
    file: 'src/raft/leader.js',
    find: `    core.outbox.send(progress.voter.nodeId, {
        type: 'heartbeat',`,
    replace: `    core.outbox.sendDurable(progress.voter.nodeId, {
        type: 'heartbeat',`,
  },
  {
    name: 'dials-nobody-at-its-activation',
    rule: 'Controller activation dials every unfenced broker',
    file: 'src/broker/quorum/cluster-member.js',
    find: 'this.environment.onActive(controller.unfencedBrokers());',
    replace: ';',
  },
  {
    name: 'founds-with-a-majority',
    rule: 'First boot needs all configured voters',
    file: 'src/raft/founding.js',
    find: 'if (view.length !== this.voterIds.length)',
    replace: 'if (view.length * 2 <= this.voterIds.length)',
    also: [
      {
        file: 'src/raft/founding.js',
        find: 'const agree = this.voterIds.every(',
        replace: 'const agree = view.map((voter) => voter.nodeId).every(',
      },
    ],
  },
  {
    name: 'trusts-the-store-alone',
    rule: 'LevelDB: a store behind the vote slots is quarantined',
    file: 'src/log/raft-log-recovery.js',
    find: 'if (lastIndex < slot.lastIndexBound) {',
    replace: 'if (false) {',
    also: [
      {
        file: 'src/log/raft-log-recovery.js',
        find: 'if (hardState.term < slot.hardState.term) {',
        replace: 'if (false) {',
      },
      { file: 'src/log/raft-log-recovery.js', find: 'if (voteIsLost)', replace: 'if (false)' },
    ],
    profile: 'disks',
  },
  {
    name: 'counts-a-wiped-voter',
    rule: '853: a voter is a node and its directory; non-voters never count',
    file: 'src/raft/leader.js',
    find: 'const counts = progress !== undefined && sameVoter(progress.voter, voter);',
    replace: 'const counts = progress !== undefined;',
    profile: 'disks',
  },
  {
    name: 'lets-a-wiped-disk-vote',
    rule: '853: a wiped disk cannot vote under its old identity',
    file: 'src/raft/campaign.js',
    find: 'if (message.voterDirectoryId !== core.self.directoryId)',
    replace: 'if (false)',
    also: [
      {
        file: 'src/raft/campaign.js',
        find: 'if (!isVoter(core.configuration, message.voter))',
        replace: 'if (false)',
      },
    ],
    profile: 'disks',
  },
  {
    name: 'changes-voters-before-its-term-has-committed',
    rule: "853: only after an entry of the leader's own term has committed",
    file: 'src/raft/membership-change.js',
    find: 'if (core.commitIndex < role.firstIndexOfTerm) {',
    replace: 'if (false) {',
    also: [
      {
        file: 'src/broker/quorum/quorum-reactor.js',
        find: 'canDecide: (command) => this.member?.controller.canAnswer(command) ?? false,',
        replace: 'canDecide: () => this.member?.node.isLeader ?? false,',
      },
    ],
  },
  {
    name: 'changes-voters-while-they-change',
    rule: '853: one change at a time',
    file: 'src/raft/membership-change.js',
    find: 'if (role.membership !== undefined || core.log.configurationIndex > core.commitIndex) {',
    replace: 'if (false) {',
    profile: 'voters',
  },
  {
    name: 'keeps-voters-whose-entry-was-cut',
    rule: '853: the newest configuration reverts when it is truncated',
    file: 'src/raft/log-view.js',
    find: 'while ((this.configurations.at(-1)?.index ?? 0) >= index)\n            this.configurations.pop();',
    replace: ';',
    profile: 'voters',
  },
  {
    name: 'goes-by-voters-once-they-are-committed',
    rule: '853: the newest configuration counts from the moment it is appended',
    file: 'src/raft/core.js',
    find: 'get configuration() {\n        return this.log.configuration;',
    replace: `get configuration() {
        if (this.log.configurationIndex > this.commitIndex && this.log.configurationBefore !== undefined)
            return this.log.configurationBefore;
        return this.log.configuration;`,
    profile: 'voters',
  },
  {
    name: 'counts-itself-after-its-removal',
    rule: '853: a removed leader leads until that commits, and does not count itself',
    file: 'src/raft/leader.js',
    find: 'const index = majorityValue(matches);',
    replace: `if (!core.isVoter)
        matches.push(core.outbox.durableIndex);
    const index = majorityValue(matches);`,
    profile: 'voters',
  },
  {
    name: 'leads-on-after-its-removal',
    rule: '853: a removed leader steps down',
    file: 'src/raft/membership-change.js',
    find: 'if (!core.isVoter && core.log.configurationIndex <= core.commitIndex)',
    replace: 'if (false)',
    profile: 'voters',
  },
  {
    name: 'takes-rotten-entries-for-sound',
    rule: 'LevelDB: every Raft entry carries its own CRC',
    file: 'src/log/raft-log-codec.js',
    find: 'if (stored !== sealOf(body, salt))',
    replace: 'if (false)',
    profile: 'disks',
  },
]
