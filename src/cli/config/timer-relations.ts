import { HEARTBEATS_A_SESSION } from '../../broker/lifecycle.js'

/** How many times the interval must fit into the limit, so that one late heartbeat deposes nobody. */
export const TIMER_RELATIONS = [
  {
    interval: 'broker.heartbeat.interval.ms',
    limit: 'broker.session.timeout.ms',
    factor: HEARTBEATS_A_SESSION,
  },
  {
    interval: 'controller.quorum.heartbeat.interval.ms',
    limit: 'controller.quorum.election.timeout.ms',
    factor: 5,
  },
  // A follower without anything to fetch must not fall behind by waiting for it.
  { interval: 'replica.fetch.wait.max.ms', limit: 'replica.lag.time.max.ms', factor: 2 },
] as const
