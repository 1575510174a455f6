import { COORDINATOR_BUGS } from './coordinator.js'
import { ISR_BUGS } from './isr.js'
import { RAFT_BUGS } from './raft.js'
import { REPLICATION_BUGS } from './replication.js'

export const PLANTED_BUGS = [...RAFT_BUGS, ...ISR_BUGS, ...REPLICATION_BUGS, ...COORDINATOR_BUGS]
