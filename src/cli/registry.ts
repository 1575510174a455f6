import type { Command } from './command.js'

/** Every command, with the line that `kogge --help` shows. Loaded when it is asked for, so that none pays for another. */
export const COMMANDS: Readonly<
  Record<string, { summary: string; load: () => Promise<{ command: Command }> }>
> = {
  dev: { summary: 'Run a whole cluster on this machine', load: () => import('./commands/dev.js') },
  start: { summary: 'Run one node', load: () => import('./commands/start.js') },
  'topic create': { summary: 'Create a topic', load: () => import('./commands/topic-create.js') },
  'topic list': { summary: 'List topics', load: () => import('./commands/topic-list.js') },
  'topic describe': {
    summary: 'Show partitions, leaders and replicas',
    load: () => import('./commands/topic-describe.js'),
  },
  'topic alter': {
    summary: 'Add partitions, change configurations',
    load: () => import('./commands/topic-alter.js'),
  },
  'topic delete': { summary: 'Delete topics', load: () => import('./commands/topic-delete.js') },
  produce: {
    summary: 'Write the lines of standard input as records',
    load: () => import('./commands/produce.js'),
  },
  consume: { summary: 'Print the values of records', load: () => import('./commands/consume.js') },
  'group list': { summary: 'List consumer groups', load: () => import('./commands/group-list.js') },
  'group describe': {
    summary: 'Show members, offsets and lag of a group',
    load: () => import('./commands/group-describe.js'),
  },
  'raft status': {
    summary: "Show each node's place in the Raft quorum",
    load: () => import('./commands/raft-status.js'),
  },
  'raft watch': {
    summary: 'Follow elections and commits as they happen',
    load: () => import('./commands/raft-watch.js'),
  },
  'raft members': {
    summary: 'List voters and observers with their directories and lag',
    load: () => import('./commands/raft-members.js'),
  },
  'raft members add': {
    summary: 'Make a controller a voter once it has caught up',
    load: () => import('./commands/raft-members-add.js'),
  },
  'raft members remove': {
    summary: "Take a voter's vote",
    load: () => import('./commands/raft-members-remove.js'),
  },
  'raft members promote': {
    summary: 'Make an observer a voter, under the directory that it runs from',
    load: () => import('./commands/raft-members-promote.js'),
  },
  'raft elections': {
    summary: 'Show the last changes of leadership: why, and what they cost',
    load: () => import('./commands/raft-elections.js'),
  },
  'cluster status': {
    summary: 'Show brokers, controller and partition health',
    load: () => import('./commands/cluster-status.js'),
  },
}
