import { createRequire } from 'node:module'
import * as grpc from '@grpc/grpc-js'
import type * as Descriptor from 'protobufjs/ext/descriptor.js'
import { serviceDefinition } from './grpc-service.js'
import { protoRoot } from './protobuf.js'

const require = createRequire(import.meta.url)

/** Loaded when somebody asks, which is seldom: every start of a node would pay for it. */
function descriptorTypes(): typeof Descriptor {
  return require('protobufjs/ext/descriptor.js')
}

/** Of reflection.proto, the parts that are used. A oneof's fields are optional ones. */
interface ReflectionRequest {
  host: string
  fileByFilename?: string
  fileContainingSymbol?: string
  fileContainingExtension?: { containingType: string; extensionNumber: number }
  allExtensionNumbersOfType?: string
  listServices?: string
}

interface ReflectionResponse {
  validHost: string
  originalRequest: ReflectionRequest
  fileDescriptorResponse?: { fileDescriptorProto: Uint8Array[] }
  allExtensionNumbersResponse?: { baseTypeName: string; extensionNumber: number[] }
  listServicesResponse?: { service: { name: string }[] }
  errorResponse?: { errorCode: number; errorMessage: string }
}

type Answer = Omit<ReflectionResponse, 'validHost' | 'originalRequest'>

/**
 * gRPC server reflection, grpc.reflection.v1 and v1alpha, so that grpcurl needs no .proto files. Lists `services`
 * and itself, and describes everything that they use.
 */
export function addReflection(server: grpc.Server, services: readonly string[]): void {
  const definition = serviceDefinition('grpc.reflection.v1.ServerReflection')
  const names = [
    ...services,
    'grpc.reflection.v1.ServerReflection',
    'grpc.reflection.v1alpha.ServerReflection',
  ]
  let files: DescriptorFiles | undefined
  const load = (): DescriptorFiles => (files ??= new DescriptorFiles())
  const serve = (call: grpc.ServerDuplexStream<ReflectionRequest, ReflectionResponse>) => {
    call.on('error', () => undefined)
    call.on('data', (request: ReflectionRequest) => {
      const answered = call.write({
        validHost: request.host,
        originalRequest: request,
        ...answer(request, names, load),
      })
      // One answer at a time for a caller that asks without reading.
      if (!answered) {
        call.pause()
        call.once('drain', () => call.resume())
      }
    })
    call.on('end', () => call.end())
  }
  server.addService(definition, { serverReflectionInfo: serve })
  const method = definition.serverReflectionInfo!
  const alphaPath = '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo'
  server.addService({ serverReflectionInfo: { ...method, path: alphaPath } }, { serverReflectionInfo: serve })
}

function answer(
  request: ReflectionRequest,
  services: readonly string[],
  files: () => DescriptorFiles,
): Answer {
  if (request.listServices !== undefined) {
    return { listServicesResponse: { service: services.map((name) => ({ name })) } }
  }
  if (request.fileByFilename !== undefined) {
    return found(files().byName(request.fileByFilename), `no file ${request.fileByFilename}`)
  }
  if (request.fileContainingSymbol !== undefined) {
    return found(files().bySymbol(request.fileContainingSymbol), `no symbol ${request.fileContainingSymbol}`)
  }
  if (request.allExtensionNumbersOfType !== undefined) {
    const baseTypeName = request.allExtensionNumbersOfType
    if (!files().bySymbol(baseTypeName)) return notFound(`no type ${baseTypeName}`)
    return { allExtensionNumbersResponse: { baseTypeName, extensionNumber: [] } }
  }
  if (request.fileContainingExtension) return notFound('there are no extensions')
  return { errorResponse: { errorCode: grpc.status.INVALID_ARGUMENT, errorMessage: 'nothing is asked' } }
}

function found(fileDescriptorProto: Uint8Array[] | undefined, message: string): Answer {
  return fileDescriptorProto ? { fileDescriptorResponse: { fileDescriptorProto } } : notFound(message)
}

function notFound(errorMessage: string): Answer {
  return { errorResponse: { errorCode: grpc.status.NOT_FOUND, errorMessage } }
}

interface DescriptorFile {
  readonly bytes: Uint8Array
  readonly imports: string[]
}

/** The descriptors of everything in `proto/`, one file a package. */
class DescriptorFiles {
  private readonly files = new Map<string, DescriptorFile>()
  /** Messages, enums, services and methods, by full name. */
  private readonly symbols = new Map<string, string>()

  constructor() {
    // Adds `toDescriptor` to the root.
    const descriptor = descriptorTypes()
    const protos = protoRoot().toDescriptor('proto3').file as FileProto[]
    for (const proto of protos) {
      for (const message of proto.messageType) qualify(message, `${proto.package}.${message.name}`)
    }
    protos.push(alphaOf(protos.find((proto) => proto.package === 'grpc.reflection.v1')!))
    for (const proto of protos) {
      proto.name = `${proto.package.replaceAll('.', '/')}.proto`
      for (const symbol of symbolsOf(proto)) this.symbols.set(symbol, proto.name)
    }
    for (const proto of protos) {
      const imports = new Set<string>()
      for (const name of referencesOf(proto)) {
        const file = this.symbols.get(name.replace(/^\./, ''))
        if (file !== undefined && file !== proto.name) imports.add(file)
      }
      proto.dependency = [...imports]
      const bytes = descriptor.FileDescriptorProto.encode(proto).finish()
      this.files.set(proto.name, { bytes, imports: proto.dependency })
    }
  }

  bySymbol(name: string): Uint8Array[] | undefined {
    const file = this.symbols.get(name)
    return file === undefined ? undefined : this.byName(file)
  }

  /** The file first, then all that it needs. */
  byName(name: string): Uint8Array[] | undefined {
    if (!this.files.has(name)) return undefined
    // A set visits what is added while it is walked through.
    const names = new Set([name])
    const result: Uint8Array[] = []
    for (const each of names) {
      const file = this.files.get(each)!
      result.push(file.bytes)
      for (const imported of file.imports) names.add(imported)
    }
    return result
  }
}

/** Of google.protobuf.FileDescriptorProto, what is looked at here. */
interface FileProto {
  name: string
  package: string
  dependency: string[]
  messageType: MessageProto[]
  enumType: { name: string }[]
  service: { name: string; method: { name: string; inputType: string; outputType: string }[] }[]
}

interface MessageProto {
  name: string
  field: { name: string; typeName?: string }[]
  nestedType: MessageProto[]
  enumType: { name: string }[]
}

/** v1alpha is v1 under another package. */
function alphaOf(v1: FileProto): FileProto {
  const text = JSON.stringify(v1).replaceAll('grpc.reflection.v1', 'grpc.reflection.v1alpha')
  return descriptorTypes().FileDescriptorProto.fromObject(JSON.parse(text)) as unknown as FileProto
}

/** protobufjs names types as they were written; grpcurl wants full names, with a leading dot. */
function qualify(message: MessageProto, fullName: string): void {
  const type = protoRoot().lookupType(fullName)
  for (const [i, field] of message.field.entries()) {
    const resolved = type.fieldsArray[i]!.resolvedType
    if (resolved) field.typeName = resolved.fullName
  }
  for (const nested of message.nestedType) qualify(nested, `${fullName}.${nested.name}`)
}

function* symbolsOf(file: FileProto): Iterable<string> {
  for (const message of file.messageType) yield* symbolsOfMessage(file.package, message)
  for (const each of file.enumType) yield `${file.package}.${each.name}`
  for (const service of file.service) {
    yield `${file.package}.${service.name}`
    for (const method of service.method) yield `${file.package}.${service.name}.${method.name}`
  }
}

function* symbolsOfMessage(scope: string, message: MessageProto): Iterable<string> {
  const name = `${scope}.${message.name}`
  yield name
  for (const field of message.field) yield `${name}.${field.name}`
  for (const each of message.enumType) yield `${name}.${each.name}`
  for (const nested of message.nestedType) yield* symbolsOfMessage(name, nested)
}

/** Full names of the types that a file uses, with a leading dot. */
function* referencesOf(file: FileProto): Iterable<string> {
  for (const message of file.messageType) yield* referencesOfMessage(message)
  for (const service of file.service) {
    for (const method of service.method) {
      yield method.inputType
      yield method.outputType
    }
  }
}

function* referencesOfMessage(message: MessageProto): Iterable<string> {
  for (const field of message.field) if (field.typeName) yield field.typeName
  for (const nested of message.nestedType) yield* referencesOfMessage(nested)
}
