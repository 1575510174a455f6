// A peer in a process of its own, to be killed: takes every stream, and dials one lane to node 1 at argv[2].
import * as grpc from '@grpc/grpc-js'

const path = '/kogge.peer.v1.Peer/Connect'
const same = (bytes) => bytes
const method = {
  path,
  requestStream: true,
  responseStream: true,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
}
const identity = () => {
  const metadata = new grpc.Metadata()
  metadata.set('kogge-directory', 'd2')
  metadata.set('kogge-incarnation', `2.${process.pid}`)
  metadata.set('kogge-address', 'host-2:9093')
  return metadata
}
const server = new grpc.Server()
server.addService(
  { connect: method },
  {
    connect(call) {
      call.on('error', () => undefined)
      call.on('data', () => undefined)
      call.sendMetadata(identity())
    },
  },
)
server.bindAsync(
  `127.0.0.1:${process.argv[3] ?? 0}`,
  grpc.ServerCredentials.createInsecure(),
  (error, port) => {
    if (error) throw error
    process.send({ port })
  },
)
if (process.argv[2]) {
  const client = new grpc.Client(process.argv[2], grpc.credentials.createInsecure())
  const metadata = identity()
  for (const [key, value] of [
    ['node', '2'],
    ['to', '1'],
    ['lane', 'raft'],
  ])
    metadata.set(`kogge-${key}`, value)
  const call = client.makeBidiStreamRequest(path, same, same, metadata)
  call.on('error', () => undefined)
  call.on('data', () => undefined)
}
