import { afterAll, beforeAll, expect, it } from 'vitest'
import { startCluster, type TestCluster } from '../support/cluster.js'
import { describeWith, runJava, type ToolResult } from '../support/toolchain.js'

const FEATURES = 'org.apache.kafka.tools.FeatureCommand'
const CONFIGS = 'kafka.admin.ConfigCommand'
const METRICS = 'org.apache.kafka.tools.ClientMetricsCommand'
const CLUSTER = 'org.apache.kafka.tools.ClusterTool'

// kafka-features, kafka-client-metrics, kafka-configs and kafka-cluster as they come, one JVM each.
describeWith("Kafka's own tools", () => {
  let cluster: TestCluster
  /** kafka-cluster wants its command first. */
  const tool = (mainClass: string, command: string, ...args: string[]): Promise<ToolResult> => {
    const at = ['--bootstrap-server', cluster.bootstrap]
    const first = mainClass === CLUSTER ? [command, ...at] : [...at, command]
    return runJava(mainClass, [...first, ...args])
  }
  /** Of a tool that must succeed: its standard output. */
  const output = async (mainClass: string, command: string, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await tool(mainClass, command, ...args)
    expect(code, stdout + stderr).toBe(0)
    return stdout
  }

  beforeAll(async () => {
    cluster = await startCluster({ restartAfter: '4s' })
  })
  afterAll(() => cluster?.stop())

  it('kafka-features describes, downgrades and upgrades, and refuses what is not there', async () => {
    const [described, refused] = await Promise.all([
      output(FEATURES, 'describe'),
      tool(FEATURES, 'upgrade', '--feature', 'transaction.version=2'),
    ])
    expect(described).toMatch(
      /^Feature: kogge\.version\s.*SupportedMaxVersion: 2\s+FinalizedVersionLevel: 2\s/m,
    )
    expect(described).toMatch(/^Feature: metadata\.version\s.*FinalizedVersionLevel: 4\.0-IV3\s/m)
    expect(described).not.toContain('transaction.version')
    expect(refused.code).toBe(1)
    expect(refused.stdout + refused.stderr).toContain('this controller supports the levels 0 to 0')
    expect(await output(FEATURES, 'downgrade', '--feature', 'kogge.version=1')).toContain(
      'was downgraded to 1',
    )
    expect(await output(FEATURES, 'upgrade', '--feature', 'kogge.version=2')).toContain('was upgraded to 2')
  })

  it('kafka-client-metrics and kafka-configs keep subscriptions of client metrics', async () => {
    const settings = [
      '--metrics',
      'org.apache.kafka.producer.',
      '--interval',
      '60000',
      '--match',
      'client_id=a.*',
    ]
    await output(METRICS, '--alter', '--name', 'some', ...settings)
    const [listed, described] = await Promise.all([
      output(METRICS, '--list'),
      output(CONFIGS, '--describe', '--entity-type', 'client-metrics'),
    ])
    expect(listed).toBe('some\n')
    expect(described).toContain('interval.ms=60000')
    expect(described).toContain('DYNAMIC_CLIENT_METRICS_CONFIG:match=client_id=a.*')
    await output(METRICS, '--delete', '--name', 'some')
    expect((await output(METRICS, '--list')).trim()).toBe('')
  })

  it('kafka-configs sets what one broker has before what all have, and refuses what all need', async () => {
    const brokers = ['--entity-type', 'brokers']
    const one = [...brokers, '--entity-name', '2']
    const all = [...brokers, '--entity-default']
    const [, , removed] = await Promise.all([
      output(CONFIGS, '--alter', ...one, '--add-config', 'log.retention.ms=3600000'),
      output(CONFIGS, '--alter', ...all, '--add-config', 'log.retention.ms=7200000'),
      tool(CONFIGS, '--alter', ...all, '--delete-config', 'min.insync.replicas'),
    ])
    expect(removed.code).toBe(1)
    expect(removed.stdout + removed.stderr).toContain('cannot be removed')
    expect(await output(CONFIGS, '--describe', ...one)).toContain(
      'log.retention.ms=3600000 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:log.retention.ms=3600000, DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=7200000}',
    )
  })

  it('kafka-cluster unregisters a dead broker, which registers anew when it comes back', async () => {
    const isListed = async () => /^3\s/m.test(await output(CLUSTER, 'list-endpoints'))
    expect(await isListed()).toBe(true)
    cluster.kill(3)
    expect(await output(CLUSTER, 'unregister', '--id', '3')).toContain('Broker 3 is no longer registered')
    const again = await tool(CLUSTER, 'unregister', '--id', '99')
    expect(again.stdout + again.stderr).toContain('broker 99 is not registered')
    await expect.poll(isListed, { timeout: 60_000, interval: 200 }).toBe(true)
  })
})
