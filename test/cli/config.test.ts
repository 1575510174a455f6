import { describe, expect, it } from 'vitest'
import { loadNodeConfig } from '../../src/cli/config/load.js'
import { CliError } from '../../src/cli/errors.js'

const GOOD: Record<string, string> = {
  'node.id': '1',
  'process.roles': 'broker,controller',
  listeners: 'PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093',
  'controller.listener.names': 'CONTROLLER',
  'controller.quorum.voters': '1@127.0.0.1:9093,2@127.0.0.1:9193,3@127.0.0.1:9293',
  'log.dirs': 'data',
}

interface Given {
  file?: Record<string, string | undefined>
  environment?: Record<string, string>
  overrides?: string[]
}

function load({ file = {}, environment = {}, overrides = [] }: Given = {}) {
  const text = Object.entries({ ...GOOD, ...file })
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${value}`)
    .join('\n')
  return loadNodeConfig({
    file: { path: '/etc/kogge/server.properties', text },
    environment,
    overrides,
    workingDirectory: '/srv',
  })
}

function problem(given: Given): string {
  try {
    load(given)
  } catch (error) {
    expect(error).toBeInstanceOf(CliError)
    expect((error as CliError).exitCode).toBe(2)
    return (error as CliError).message
  }
  throw new Error('no error')
}

describe('a node configuration', () => {
  it('is read from server.properties', () => {
    const { config, warnings } = load()
    expect(warnings).toEqual([])
    expect(config).toMatchObject({
      nodeId: 1,
      rack: null,
      logDir: '/etc/kogge/data',
      interBrokerListenerName: 'PLAINTEXT',
      listeners: [
        {
          name: 'PLAINTEXT',
          host: '127.0.0.1',
          port: 9092,
          advertisedHost: '127.0.0.1',
          advertisedPort: 9092,
        },
      ],
      controlListener: { name: 'CONTROLLER', port: 9093 },
      inspectListener: { name: 'CONTROLLER', port: 9093 },
    })
    expect(config.voters).toEqual([
      { nodeId: 1, host: '127.0.0.1', port: 9093 },
      { nodeId: 2, host: '127.0.0.1', port: 9193 },
      { nodeId: 3, host: '127.0.0.1', port: 9293 },
    ])
    expect(config.properties.get('node.id')).toBe('1')
  })

  it('has loopback listeners by default', () => {
    const { config } = load({ file: { listeners: undefined } })
    expect(config.listeners.map((l) => `${l.name}://${l.host}:${l.port}`)).toEqual([
      'PLAINTEXT://127.0.0.1:9092',
    ])
    expect(config.controlListener.port).toBe(9093)
  })

  it('a flag beats the environment, which beats the file', () => {
    const environment = { KOGGE_BROKER_RACK: 'environment', KOGGE_NUM_PARTITIONS: '5', PATH: '/bin' }
    const { config } = load({
      file: { 'broker.rack': 'file', 'num.partitions': '4', 'message.max.bytes': '1000' },
      environment,
      overrides: ['broker.rack=flag'],
    })
    expect(config.rack).toBe('flag')
    expect(config.properties.get('num.partitions')).toBe('5')
    expect(config.properties.get('message.max.bytes')).toBe('1000')
  })

  it('an empty list of sources but the environment is enough', () => {
    const environment = Object.fromEntries(
      Object.entries(GOOD).map(([key, value]) => [`KOGGE_${key.toUpperCase().replaceAll('.', '_')}`, value]),
    )
    const { config } = loadNodeConfig({ environment, overrides: [], workingDirectory: '/srv' })
    expect(config).toMatchObject({ nodeId: 1, logDir: '/srv/data' })
  })

  it('inspection may have a listener of its own', () => {
    const listeners = 'PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093,INSPECT://127.0.0.1:9094'
    const map = 'INSPECT:PLAINTEXT'
    const { config } = load({
      file: { listeners, 'inspect.listener.name': 'INSPECT', 'listener.security.protocol.map': map },
    })
    expect(config.inspectListener.port).toBe(9094)
    expect(config.controlListener.port).toBe(9093)
    expect(config.listeners).toHaveLength(1)
  })

  it('listeners may be named, and told to clients by other addresses', () => {
    const { config } = load({
      file: {
        listeners: 'OUT://0.0.0.0:9092,IN://0.0.0.0:19092,CONTROLLER://[::1]:9093',
        'advertised.listeners': 'OUT://example.org:1,IN://node-1:19092',
        'listener.security.protocol.map': 'OUT:PLAINTEXT,IN:PLAINTEXT',
        'inter.broker.listener.name': 'IN',
      },
    })
    expect(config.interBrokerListenerName).toBe('IN')
    expect(
      config.listeners.map((l) => `${l.name} ${l.host}:${l.port} ${l.advertisedHost}:${l.advertisedPort}`),
    ).toEqual(['OUT 0.0.0.0:9092 example.org:1', 'IN 0.0.0.0:19092 node-1:19092'])
    expect(config.controlListener.host).toBe('::1')
  })

  it('broker.id and log.dir are other names of node.id and log.dirs', () => {
    const { config } = load({
      file: {
        'node.id': undefined,
        'broker.id': '2',
        'log.dirs': undefined,
        'log.dir': '/x',
        listeners: 'PLAINTEXT://127.0.0.1:9192,CONTROLLER://127.0.0.1:9193',
      },
    })
    expect(config).toMatchObject({ nodeId: 2, logDir: '/x' })
  })
})

describe('roles', () => {
  it('are both unless process.roles names one', () => {
    expect(load({ file: { 'process.roles': undefined } }).config.roles).toEqual({
      broker: true,
      controller: true,
    })
  })

  it('a dedicated controller has one listener, and it is gRPC', () => {
    const { config } = load({ file: { 'process.roles': 'controller', listeners: undefined } })
    expect(config.roles).toEqual({ broker: false, controller: true })
    expect(config.listeners).toEqual([])
    expect(config.controlListener).toMatchObject({ name: 'CONTROLLER', port: 9093 })
  })

  it('a dedicated broker finds the controllers by bootstrap servers', () => {
    const { config } = load({
      file: {
        'node.id': '11',
        'process.roles': 'broker',
        'controller.quorum.voters': undefined,
        'controller.quorum.bootstrap.servers': 'c1:9093, [::1]:9193',
      },
    })
    expect(config.roles).toEqual({ broker: true, controller: false })
    expect(config.voters).toEqual([])
    expect(config.bootstrapServers).toEqual([
      { host: 'c1', port: 9093 },
      { host: '::1', port: 9193 },
    ])
  })

  it('a controller that is no configured voter may join a running cluster', () => {
    const { config, warnings } = load({
      file: { 'node.id': '4', 'controller.quorum.bootstrap.servers': '127.0.0.1:9193' },
      overrides: ['controller.quorum.auto.join.enable=true'],
    })
    expect(warnings).toEqual([])
    expect(config.voters.map(({ nodeId }) => nodeId)).toEqual([1, 2, 3])
    expect(config.properties.get('controller.quorum.auto.join.enable')).toBe('true')
  })
})

describe('a warning, not an error', () => {
  it('for a Kafka key that has no effect', () => {
    const { config, warnings } = load({ file: { 'socket.send.buffer.bytes': '1' } })
    expect(warnings).toEqual([
      'socket.send.buffer.bytes (/etc/kogge/server.properties line 7) is a Kafka key without effect in kogge: it is ignored.',
    ])
    expect(config.properties.has('socket.send.buffer.bytes')).toBe(false)
  })

  it('for a key that is given twice in one place', () => {
    expect(load({ overrides: ['num.partitions=1', 'num.partitions=2'] }).warnings).toEqual([
      'num.partitions is given twice: --override (2) wins over --override (1).',
    ])
  })
})

describe('one sentence that says what to do', () => {
  const FILE = '/etc/kogge/server.properties'
  it.each<[string, Given, string]>([
    [
      'unknown key',
      { overrides: ['num.partition=3'] },
      'num.partition (--override) is no configuration key: did you mean num.partitions?',
    ],
    [
      'unknown variable',
      { environment: { KOGGE_NODEID: '3' } },
      'nodeid (KOGGE_NODEID) is no configuration key: did you mean node.id?',
    ],
    [
      'nothing near',
      { overrides: ['zzzzzzzzzz=3'] },
      'zzzzzzzzzz (--override) is no configuration key: take it out.',
    ],
    [
      'non-numeric',
      { file: { 'node.id': 'one' } },
      `node.id: "one" is not allowed; it must be a whole number from 0 to 2147483647 (${FILE} line 1).`,
    ],
    [
      'out of range',
      { environment: { KOGGE_NODE_ID: '-1' } },
      'node.id: "-1" is not allowed; it must be a whole number from 0 to 2147483647 (KOGGE_NODE_ID).',
    ],
    [
      'no node.id',
      { file: { 'node.id': undefined } },
      'node.id is missing: give each node its own whole number, for instance node.id=1.',
    ],
    [
      'no log.dirs',
      { file: { 'log.dirs': undefined } },
      'log.dirs is missing: name the directory that holds the data, for instance log.dirs=/var/lib/kogge.',
    ],
    [
      'two log.dirs',
      { file: { 'log.dirs': '/a,/b' } },
      `log.dirs=/a,/b (${FILE} line 6): only one directory is supported for now, so name one.`,
    ],
    [
      'no voters',
      { file: { 'controller.quorum.voters': undefined } },
      'controller.quorum.voters is missing: list every controller with its gRPC address, the same on all nodes, for instance 1@host1:9093,2@host2:9093,3@host3:9093; or name controllers of a cluster to join in controller.quorum.bootstrap.servers.',
    ],
    [
      'bad voter',
      { file: { 'controller.quorum.voters': '1@a' } },
      "controller.quorum.voters=1@a: '1@a' is not a voter. Write id@host:port, as in 1@127.0.0.1:9093.",
    ],
    [
      'voter twice',
      { file: { 'controller.quorum.voters': '1@a:1,1@b:1' } },
      'controller.quorum.voters=1@a:1,1@b:1 lists node 1 twice: give each node one address.',
    ],
    [
      'voters share an address',
      { file: { 'controller.quorum.voters': '1@a:1,2@a:1' } },
      'controller.quorum.voters=1@a:1,2@a:1 lists a:1 for two nodes: give each its own.',
    ],
    [
      'not a voter',
      { file: { 'node.id': '4' } },
      'node.id=4 is not among controller.quorum.voters (1, 2, 3): correct node.id, add 4@host:9093 on all nodes of a cluster that is yet to be founded, or name controllers of a running one in controller.quorum.bootstrap.servers to join it.',
    ],
    [
      'bootstrap servers that are none',
      { file: { 'controller.quorum.bootstrap.servers': 'a:1,b' } },
      "controller.quorum.bootstrap.servers=a:1,b: 'b' is not an address. Write host:port, as in 127.0.0.1:9093.",
    ],
    [
      'nobody to join but itself',
      { file: { 'node.id': '4', 'controller.quorum.bootstrap.servers': '127.0.0.1:9093' } },
      'controller.quorum.bootstrap.servers names only this node itself (127.0.0.1:9093): name controllers of the cluster that it is to join.',
    ],
    [
      'a broker that knows no controller',
      { file: { 'process.roles': 'broker', 'controller.quorum.voters': undefined } },
      'process.roles=broker must know the controllers: name them in controller.quorum.bootstrap.servers, for instance host1:9093,host2:9093,host3:9093.',
    ],
    [
      'a broker among the voters',
      { file: { 'process.roles': 'broker' } },
      'node.id=1 is among controller.quorum.voters, but process.roles=broker has no vote: give the broker an id of its own, or write process.roles=broker,controller.',
    ],
    [
      'a broker that is to join the voters',
      {
        file: { 'process.roles': 'broker', 'node.id': '4' },
        overrides: ['controller.quorum.auto.join.enable=true'],
      },
      'controller.quorum.auto.join.enable=true is for controllers, and process.roles=broker is none: take it out.',
    ],
    [
      'a controller with a listener for clients',
      { file: { 'process.roles': 'controller' } },
      'process.roles=controller serves no Kafka clients: take PLAINTEXT out of listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093.',
    ],
    [
      'another port than the voters say',
      { file: { 'node.id': '2' } },
      'controller.quorum.voters says that node 2 is at port 9193, but its listener CONTROLLER has port 9093: make them agree.',
    ],
    [
      'aliases that differ',
      { file: { 'broker.id': '2' } },
      `node.id=1 (${FILE} line 1) contradicts broker.id=2 (${FILE} line 7), which is another name for the same key: keep one of them.`,
    ],
    [
      'no such role',
      { file: { 'process.roles': 'boss' } },
      `process.roles: "boss" is not allowed; it must be a comma-separated list of broker, controller (${FILE} line 2).`,
    ],
    [
      'bad listener',
      { file: { listeners: 'localhost:9092' } },
      "listeners=localhost:9092: 'localhost:9092' is not a listener. Write NAME://host:port, with a port from 1 to 65535: PLAINTEXT://127.0.0.1:9092.",
    ],
    [
      'listener twice',
      { file: { listeners: 'A://h:1,A://h:2' } },
      'listeners=A://h:1,A://h:2 names the listener A twice: give each its own name.',
    ],
    [
      'port twice',
      { file: { listeners: 'PLAINTEXT://h:1,CONTROLLER://h:1' } },
      'The listeners PLAINTEXT and CONTROLLER share port 1: give each its own.',
    ],
    [
      'no protocol',
      { file: { listeners: 'FOO://h:1,CONTROLLER://h:2' } },
      'The listener FOO has no security protocol: add FOO:PLAINTEXT to listener.security.protocol.map.',
    ],
    [
      'TLS',
      { file: { listeners: 'SSL://h:1,CONTROLLER://h:2' } },
      'The listener SSL asks for SSL, which is not supported yet: PLAINTEXT is the only one. Change listeners or listener.security.protocol.map.',
    ],
    [
      'mapped to SASL',
      { file: { 'listener.security.protocol.map': 'PLAINTEXT:SASL_SSL' } },
      'The listener PLAINTEXT asks for SASL_SSL, which is not supported yet: PLAINTEXT is the only one. Change listeners or listener.security.protocol.map.',
    ],
    [
      'mapped to nothing known',
      { file: { 'listener.security.protocol.map': 'PLAINTEXT:PLAIN' } },
      'The listener PLAINTEXT asks for PLAIN, which is no security protocol: PLAINTEXT is the only one. Change listeners or listener.security.protocol.map.',
    ],
    [
      'bad map',
      { file: { 'listener.security.protocol.map': 'X' } },
      "listener.security.protocol.map=X: 'X' is not a pair. Write NAME:PROTOCOL, as in CONTROLLER:PLAINTEXT.",
    ],
    [
      'no controller listener',
      { file: { listeners: 'PLAINTEXT://h:1' } },
      'controller.listener.names=CONTROLLER is not among the listeners (PLAINTEXT): add CONTROLLER://host:port to listeners, or name one of those.',
    ],
    [
      'two controller listeners',
      { file: { 'controller.listener.names': 'A,B' } },
      'controller.listener.names=A,B: name exactly one listener, for instance CONTROLLER.',
    ],
    [
      'no Kafka listener',
      { file: { listeners: 'CONTROLLER://h:1' } },
      'listeners=CONTROLLER://h:1 has no listener for Kafka clients beside the gRPC one: add PLAINTEXT://127.0.0.1:9092, for instance.',
    ],
    [
      'no such inspection listener',
      { file: { 'inspect.listener.name': 'X' } },
      'inspect.listener.name=X is not among the listeners (PLAINTEXT, CONTROLLER): add X://host:port to listeners, or name one of those.',
    ],
    [
      'several, none named',
      {
        file: {
          listeners: 'A://h:1,B://h:2,CONTROLLER://h:3',
          'listener.security.protocol.map': 'A:PLAINTEXT,B:PLAINTEXT',
        },
      },
      'There are several listeners (A, B): say with inter.broker.listener.name which of them the brokers use among themselves.',
    ],
    [
      'inter-broker over gRPC',
      { file: { 'inter.broker.listener.name': 'CONTROLLER' } },
      'inter.broker.listener.name=CONTROLLER is the gRPC listener; replicas speak the Kafka protocol: name one of PLAINTEXT.',
    ],
    [
      'no such inter-broker listener',
      { file: { 'inter.broker.listener.name': 'X' } },
      'inter.broker.listener.name=X is not among the listeners: name one of PLAINTEXT.',
    ],
    [
      'all addresses',
      { file: { listeners: 'PLAINTEXT://:9092,CONTROLLER://127.0.0.1:9093' } },
      'The listener PLAINTEXT binds every address, so clients cannot be told one: add PLAINTEXT://<host>:9092 to advertised.listeners.',
    ],
    [
      'advertised, but not there',
      { file: { 'advertised.listeners': 'X://h:1' } },
      'advertised.listeners names X, which is not among the listeners: add it there, or take it out.',
    ],
    [
      'advertised without host',
      { file: { 'advertised.listeners': 'PLAINTEXT://0.0.0.0:1' } },
      'advertised.listeners gives PLAINTEXT no address that clients can connect to: name a host.',
    ],
    [
      'session too short',
      { overrides: ['broker.session.timeout.ms=1999'] },
      'broker.session.timeout.ms=1999 contradicts broker.heartbeat.interval.ms=500: the first must be at least 4 times the second, so raise it to 2000 or lower the interval.',
    ],
    [
      'election too short',
      { overrides: ['controller.quorum.heartbeat.interval.ms=201'] },
      'controller.quorum.election.timeout.ms=1000 contradicts controller.quorum.heartbeat.interval.ms=201: the first must be at least 5 times the second, so raise it to 1005 or lower the interval.',
    ],
    ['override without a value', { overrides: ['x'] }, '--override x: write it as --override key=value.'],
    [
      'broken file',
      { file: { 'broker.rack': '\\u12' } },
      `${FILE} cannot be read as properties: line 7: \\u must be followed by four hexadecimal digits.`,
    ],
  ])('%s', (_name, given, expected) => {
    expect(problem(given)).toBe(expected)
  })
})
