import { fileURLToPath } from 'node:url';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';

/** The .proto files as the server and its reflection use them. */

const PROTO_FOLDER = fileURLToPath(new URL('../../proto/', import.meta.url));

export const MONOLITHIC_SERVICE = 'monolithic.MonolithicService';
export const FARM_SERVICE = 'lipsync.farm.v1.FarmService';

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

const protos = load('monolithic.proto', 'farm.proto');

export function serviceOf(name: typeof MONOLITHIC_SERVICE | typeof FARM_SERVICE): ServiceDefinition {
  return protos[name] as ServiceDefinition;
}

/** Everything that reflection shows. */
export function reflectedProtos(): PackageDefinition {
  return { ...protos, ...load('health.proto') };
}
