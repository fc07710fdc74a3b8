import { FarmError } from '../../shared/errors/farm-error.ts';
import type { CheckpointFile } from './checkpoint-file.ts';
import type { StateDict } from './state-dict.ts';
import { MAX_VALUES } from './tensor-layout.ts';

/** Names that a message lists of each kind. */
const LISTED = 5;

/** The weights of a network, handed out by name and shape; keeps what did not fit, to say all of it at once. */
export class Weights {
  readonly #path: string;
  readonly #values: ReadonlyMap<string, Float32Array>;
  readonly #dict: StateDict;
  readonly #taken = new Set<string>();
  readonly #missing: string[] = [];
  readonly #misshapen: string[] = [];

  private constructor(path: string, dict: StateDict, values: ReadonlyMap<string, Float32Array>) {
    this.#path = path;
    this.#dict = dict;
    this.#values = values;
  }

  /** Reads all tensors of the network. @throws FarmError `checkpoint_unreadable`, `model_unusable` for far too many. */
  static async read(checkpoint: CheckpointFile, dict: StateDict): Promise<Weights> {
    const total = [...dict.values()].reduce((sum, { length }) => sum + length, 0);
    if (total > MAX_VALUES) throw new FarmError('model_unusable', `${checkpoint.path} has ${total} weights`);
    const values = new Map<string, Float32Array>();
    for (const [name, tensor] of dict) values.set(name, await checkpoint.read(tensor));
    return new Weights(checkpoint.path, dict, values);
  }

  /** @returns zeros when the network has no such tensor, or one of another shape: `requireAll` says so. */
  take(name: string, ...shape: readonly number[]): Float32Array {
    this.#taken.add(name);
    const [tensor, values] = [this.#dict.get(name), this.#values.get(name)];
    if (tensor === undefined || values === undefined) this.#missing.push(name);
    else if (tensor.shape.join() !== shape.join()) {
      this.#misshapen.push(`${name} is [${tensor.shape.join(', ')}] instead of [${shape.join(', ')}]`);
    } else return values;
    return new Float32Array(shape.reduce((product, size) => product * size, 1));
  }

  has(name: string): boolean {
    return this.#dict.has(name);
  }

  /** @throws FarmError `model_unusable` when something was missing, of another shape, or is left over. */
  requireAll(what: string): void {
    const left = [...this.#dict.keys()].filter((name) => !this.#taken.has(name));
    const faults = [
      this.#missing.length > 0 ? `it lacks ${listed(this.#missing)}` : '',
      this.#misshapen.length > 0 ? listed(this.#misshapen) : '',
      left.length > 0 ? `${listed(left)} ${left.length === 1 ? 'is' : 'are'} of no layer that is known` : '',
    ].filter((fault) => fault !== '');
    if (faults.length === 0) return;
    throw new FarmError('model_unusable', `${this.#path} looks like a ${what}, but ${faults.join('; ')}`);
  }
}

function listed(names: readonly string[]): string {
  const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : '';
  return `${names.slice(0, LISTED).join(', ')}${more}`;
}
