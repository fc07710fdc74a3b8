/** The tensors of a network in what a training saved, under the names that the network itself gives them. */

import { FarmError } from '../../shared/errors/farm-error.ts';
import { TensorLayout } from './tensor-layout.ts';

export type StateDict = ReadonlyMap<string, TensorLayout>;

/** Under which a training loop saves the network, beside its optimiser and its place; in this order. */
const WRAPPERS = ['state_dict', 'model_state_dict', 'model', 'net'];
const MAX_WRAPPERS = 3;
/** What wrappers of the network put before every name: DataParallel, `torch.compile`, a class that holds it. */
const PREFIXES = ['module.', '_orig_mod.', 'model.', 'net.', 'audio_encoder.'];
/** Counted by batch norms in training, and read by nobody. */
const COUNTER = /(^|\.)num_batches_tracked$/;
/** Names that a message lists. */
const LISTED = 6;

/**
 * Takes what the file holds apart: a state dict, or a dict that has one beside other things, which are left.
 * @param value as CheckpointFile gives it.
 * @throws FarmError `model_unusable` when there is no state dict in it; says what there is.
 */
export function stateDictOf(value: unknown, path: string): StateDict {
  let inner = value;
  for (let depth = 0; depth < MAX_WRAPPERS && inner instanceof Map && !hasTensors(inner); depth++) {
    const dict: ReadonlyMap<unknown, unknown> = inner;
    const name = WRAPPERS.find((wrapper) => dict.get(wrapper) instanceof Map);
    if (name === undefined) break;
    inner = dict.get(name);
  }
  if (!(inner instanceof Map) || !hasTensors(inner)) {
    throw new FarmError('model_unusable', `${path} holds no weights of a network: ${contentOf(value)}`);
  }
  const tensors = [...(inner as ReadonlyMap<unknown, unknown>)].flatMap(([name, tensor]) =>
    typeof name === 'string' && tensor instanceof TensorLayout && !COUNTER.test(name) ? [[name, tensor] as const] : [],
  );
  return new Map(withoutPrefixes(tensors));
}

function hasTensors(dict: ReadonlyMap<unknown, unknown>): boolean {
  return [...dict.values()].some((value) => value instanceof TensorLayout);
}

function withoutPrefixes(tensors: readonly (readonly [string, TensorLayout])[]): typeof tensors {
  const prefix = PREFIXES.find((start) => tensors.every(([name]) => name.startsWith(start)));
  if (prefix === undefined || tensors.length === 0) return tensors;
  return withoutPrefixes(tensors.map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}

function contentOf(value: unknown): string {
  if (!(value instanceof Map))
    return Array.isArray(value) ? 'it is a list' : `it is ${value === null ? 'None' : typeof value}`;
  const names = [...value.keys()].map(String);
  if (names.length === 0) return 'it is an empty dict';
  const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : '';
  return `it has ${names.slice(0, LISTED).join(', ')}${more}`;
}
