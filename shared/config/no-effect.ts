import type { Config } from './load.ts';
import { type ConfigValues, configSchema } from './schema.ts';

/**
 * Keys of the one-process server, and of the separated pair, that are read and checked, so that their files load
 * unchanged, but have no effect here.
 */

type Section = 'server' | 'onnx';
type OfInferenceServer = 'url' | 'timeout_seconds' | 'max_retries';
type Key =
  | { [S in Section]: `${S}.${keyof ConfigValues[S] & string}` }[Section]
  | `inference_server.${OfInferenceServer}`;

const OWN_INFERENCE =
  'the farm is its own inference server, at server.inference_port for others; clients of the compositing server find it at server.compositing_port, so give that the port which server.port has in their file, and server.port another one';

/** Why each of them has no effect; the end of a sentence. */
const REASONS: Partial<Record<Key, string>> = {
  'server.worker_count_per_gpu': 'each GPU has one worker process, which fills it by itself',
  'inference_server.url': OWN_INFERENCE,
  'inference_server.timeout_seconds': 'limits.live_wait_seconds bounds how long a request waits for a GPU',
  'inference_server.max_retries': 'a request whose GPU worker dies goes to another one by itself',
  'onnx.library_path': 'ONNX Runtime comes with the package onnxruntime-node',
  'onnx.cuda_streams_per_worker': 'ONNX Runtime for Node offers no choice of streams',
  'onnx.inter_op_threads': 'the operators of a network run one after the other',
};

export interface KeyWithoutEffect {
  /** Dotted, as in `logging.sample_rate`. */
  readonly key: string;
  readonly why: string;
}

/** Keys without effect that are set to other values than their defaults: the user should be told. */
export function keysWithoutEffect(config: Config): KeyWithoutEffect[] {
  const defaults = configSchema.parse({});
  return Object.entries(REASONS).flatMap(([key, why]) => {
    const [section = '', name = ''] = key.split('.');
    return valueAt(config, section, name) === valueAt(defaults, section, name) ? [] : [{ key, why }];
  });
}

function valueAt(values: object, section: string, name: string): unknown {
  const held: unknown = Object.entries(values).find(([key]) => key === section)?.[1];
  return Object.entries(held ?? {}).find(([key]) => key === name)?.[1];
}
