/** Where all randomness comes from: one seeded source for each node. */
export interface Random {
  /** A uniformly distributed integer in [0, 2³²). */
  uint32(): number
}
