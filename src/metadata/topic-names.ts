/** Kafka's limit: a directory's name is the topic's with the partition's number behind it. */
export const TOPIC_NAME_MAX_LENGTH = 249

/** Why a topic may not have this name; undefined: it may. */
export function invalidTopicName(name: string): string | undefined {
  if (name === '') return 'a topic name must not be empty'
  if (name === '.' || name === '..') return `a topic name must not be ${JSON.stringify(name)}`
  if (name.length > TOPIC_NAME_MAX_LENGTH) {
    return `a topic name has at most ${TOPIC_NAME_MAX_LENGTH} characters, this one has ${name.length}`
  }
  if (!/^[a-zA-Z0-9._-]+$/.test(name)) {
    return `topic name ${JSON.stringify(name)} has other characters than ASCII letters, digits, '.', '_' and '-'`
  }
  return undefined
}

/** '.' and '_' look the same in the names of metrics. */
export function collisionKey(name: string): string {
  return name.replaceAll('.', '_')
}

const INTERNAL_TOPICS: ReadonlySet<string> = new Set([
  '__consumer_offsets',
  '__transaction_state',
  '__share_group_state',
])

export function isInternalTopic(name: string): boolean {
  return INTERNAL_TOPICS.has(name)
}
