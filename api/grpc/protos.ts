import { fileURLToPath } from 'node:url';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { freeNow } from '../../shared/process/free-now.ts';

/** The .proto files as the server and its reflection use them. */

const PROTO_FOLDER = fileURLToPath(new URL('../../proto/', import.meta.url));

export const MONOLITHIC_SERVICE = 'monolithic.MonolithicService';
export const COMPOSITING_SERVICE = 'compositing.CompositingService';
export const INFERENCE_SERVICE = 'inference.InferenceService';
export const FARM_SERVICE = 'lipsync.farm.v1.FarmService';

/** The file that each service is in. */
const FILES = {
  [MONOLITHIC_SERVICE]: 'monolithic.proto',
  [COMPOSITING_SERVICE]: 'compositing.proto',
  [INFERENCE_SERVICE]: 'inference.proto',
  [FARM_SERVICE]: 'farm.proto',
} as const;
export type ServiceName = keyof typeof FILES;

/** Field names as in the files, enums by name, 64-bit numbers as numbers, every field set, oneofs named. */
const load = (...files: string[]): PackageDefinition =>
  loadSync(files, {
    includeDirs: [PROTO_FOLDER],
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  });

const protos = load(...Object.values(FILES));

/**
 * The methods of a service. Bytes that are no message of theirs are handed on as FarmError('request_invalid'), for the
 * handler to answer with: grpc-js would answer INTERNAL, which is said of faults of the server.
 */
export function serviceOf(name: ServiceName): ServiceDefinition {
  const methods = Object.entries(protos[name] as ServiceDefinition);
  return Object.fromEntries(
    methods.map(([method, definition]) => {
      const requestDeserialize = (bytes: Buffer): unknown => {
        try {
          return definition.requestDeserialize(bytes);
        } catch (cause) {
          return new FarmError('request_invalid', `Not a message of ${definition.path}: ${(cause as Error).message}`);
        }
      };
      return [
        method,
        { ...definition, requestDeserialize, responseSerialize: givingBack(definition.responseSerialize) },
      ];
    }),
  );
}

/** Frames, which an answer is made of and nobody else has. */
interface WithFrames {
  readonly composited_frames?: readonly Buffer[];
  readonly frame?: { readonly data: Buffer } | null;
}

/**
 * Gives the memory of an answer's frames back once they are in its message, and that of the message once grpc-js has
 * copied it behind its prefix. Left to V8 a front end spends more time on collecting all of its heap than on the frames.
 */
function givingBack(serialize: (answer: WithFrames) => Buffer) {
  return (answer: WithFrames): Buffer => {
    const message = serialize(answer);
    for (const frame of answer.composited_frames ?? []) freeNow(frame);
    if (answer.frame) freeNow(answer.frame.data);
    process.nextTick(freeNow, message);
    return message;
  };
}

/** The number of a field in a method's request. */
export function fieldNumber(service: ServiceName, method: string, field: string): number {
  const { requestType } = (protos[service] as ServiceDefinition)[method] as unknown as { requestType: MessageType };
  const found = requestType.type.field.find(({ name }) => name === field);
  if (!found) throw new Error(`The request of ${service}/${method} has no field ${field}`);
  return found.number;
}

/** What proto-loader says of a message. */
interface MessageType {
  readonly type: { readonly field: readonly { readonly name: string; readonly number: number }[] };
}

/** What reflection shows of a server with these services. */
export function reflectedProtos(services: readonly ServiceName[]): PackageDefinition {
  return load(...services.map((name) => FILES[name]), 'health.proto');
}
