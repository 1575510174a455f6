import type * as grpc from '@grpc/grpc-js'
import { asBuffer } from './grpc-peer-lane.js'
import { messageCodec, protoRoot } from './protobuf.js'

/** A service of `proto/` in grpc-js's form: its messages are our plain types. Works for servers and clients. */
export function serviceDefinition(fullName: string): grpc.ServiceDefinition {
  const service = protoRoot().lookupService(fullName)
  const definition: Record<string, grpc.MethodDefinition<object, object>> = {}
  for (const method of service.methodsArray) {
    method.resolve()
    const request = messageCodec<object>(typeName(method.resolvedRequestType))
    const response = messageCodec<object>(typeName(method.resolvedResponseType))
    definition[method.name.charAt(0).toLowerCase() + method.name.slice(1)] = {
      path: `/${fullName}/${method.name}`,
      requestStream: method.requestStream === true,
      responseStream: method.responseStream === true,
      requestSerialize: (value) => asBuffer(request.encode(value)),
      requestDeserialize: (bytes) => request.decode(bytes),
      responseSerialize: (value) => asBuffer(response.encode(value)),
      responseDeserialize: (bytes) => response.decode(bytes),
    }
  }
  return definition as grpc.ServiceDefinition
}

function typeName(type: { fullName: string } | null): string {
  if (!type) throw new Error('a method of proto/ names a message that does not exist')
  return type.fullName.replace(/^\./, '')
}
