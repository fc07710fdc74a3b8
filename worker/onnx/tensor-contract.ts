/** What the farm expects of a model's tensors, and the check of a model's metadata against it. */

import type { InferenceSession } from './onnxruntime.ts';

type ValueMetadata = InferenceSession.ValueMetadata;

/** One float32 tensor [batch, …dims]. A named dim, such as 'S', stands for a size that is read from the model. */
export interface TensorSpec {
  readonly name: string;
  /** Without the batch axis. */
  readonly dims: readonly (number | string)[];
}

export interface ModelContract {
  /** What the model is for, in messages: "audio encoder". */
  readonly role: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** The values that each named dim may take. */
  readonly namedDims: Readonly<Record<string, readonly number[]>>;
}

/** A contract with every size known. */
export interface BoundContract {
  /** Length of axis 0 if the model fixes it. */
  readonly batch: number | 'dynamic';
  readonly namedDims: ReadonlyMap<string, number>;
  readonly inputs: readonly BoundTensor[];
  readonly outputs: readonly BoundTensor[];
}

export interface BoundTensor extends ItemShape {
  readonly name: string;
  readonly type: 'float32' | 'uint8';
  /** Of inputs: whether a run may do without, and whether the first one does. */
  readonly use: 'always' | 'may be empty' | 'empty at first';
}

export interface ItemShape {
  /** Without the batch axis. */
  readonly dims: readonly number[];
  /** Values in one item: the product of `dims`. */
  readonly itemLength: number;
}

export function shapeOf(dims: readonly number[]): ItemShape {
  return { dims, itemLength: dims.reduce((product, dim) => product * dim, 1) };
}

/** Of the numbers in a network's own tensors. */
export type TensorType = 'float32' | 'float16';

export type BindResult =
  | { readonly fits: true; readonly bound: BoundContract }
  | { readonly fits: false; readonly reason: string };

/**
 * Matches a model's metadata with a contract. Names must be exactly those of the contract (further outputs are left
 * alone); a dim that the model leaves symbolic fits anything, and a tensor without a declared shape is left to the
 * warm-up run.
 * @param types of the tensors that will do.
 * @returns the sizes the model fixes, or one sentence with everything that does not fit, what was found and expected.
 */
export function bindContract(
  contract: ModelContract,
  foundInputs: readonly ValueMetadata[],
  foundOutputs: readonly ValueMetadata[],
  types: readonly TensorType[] = ['float32'],
): BindResult {
  const match = new Match(types);
  for (const spec of contract.inputs) match.tensor('input', spec, foundInputs);
  for (const spec of contract.outputs) match.tensor('output', spec, foundOutputs);
  for (const { name } of foundInputs) {
    if (!contract.inputs.some((spec) => spec.name === name)) match.problems.push(`input "${name}" is unknown`);
  }
  const batch = match.batch();
  const namedDims = match.namedDims(contract.namedDims);
  if (match.problems.length > 0) {
    const found = `found ${describe(foundInputs)} → ${describe(foundOutputs)}`;
    return { fits: false, reason: `${match.problems.join('; ')}; ${found}; ${describeContract(contract)}` };
  }
  const bind = (spec: TensorSpec): BoundTensor => {
    const dims = spec.dims.map((dim) => (typeof dim === 'number' ? dim : (namedDims.get(dim) ?? 0)));
    return { name: spec.name, type: 'float32', use: 'always', ...shapeOf(dims) };
  };
  const bound = { batch, namedDims, inputs: contract.inputs.map(bind), outputs: contract.outputs.map(bind) };
  return { fits: true, bound };
}

/** The contract in words: "expected input float32 [batch, 6, S, S], … → output float32 [batch, 3, S, S]". */
export function describeContract(contract: ModelContract): string {
  const list = (specs: readonly TensorSpec[]) =>
    specs.map((spec) => `${spec.name} float32 [${['batch', ...spec.dims].join(', ')}]`).join(', ');
  const sizes = Object.entries(contract.namedDims).map(([name, values]) => `, ${name} = ${values.join(' or ')}`);
  return `expected ${list(contract.inputs)} → ${list(contract.outputs)}${sizes.join('')}`;
}

function describe(tensors: readonly ValueMetadata[]): string {
  const one = (tensor: ValueMetadata) =>
    tensor.isTensor ? `${tensor.name} ${tensor.type} [${tensor.shape.join(', ')}]` : `${tensor.name} (no tensor)`;
  return tensors.length === 0 ? 'nothing' : tensors.map(one).join(', ');
}

const EXPORT_FLOATS = ': export it with inputs and outputs of float32; its weights may stay float16';

/** Collects what the tensors of one model say. */
class Match {
  readonly problems: string[] = [];
  readonly #batches = new Set<number>();
  readonly #sizes = new Map<string, Set<number>>();
  readonly #types: readonly string[];

  constructor(types: readonly TensorType[]) {
    this.#types = types;
  }

  tensor(kind: string, spec: TensorSpec, found: readonly ValueMetadata[]): void {
    const tensor = found.find((candidate) => candidate.name === spec.name);
    if (tensor === undefined) {
      this.problems.push(`there is no ${kind} "${spec.name}"`);
    } else if (!tensor.isTensor || !this.#types.includes(tensor.type)) {
      const remedy = tensor.isTensor && tensor.type === 'float16' ? EXPORT_FLOATS : '';
      this.problems.push(`${kind} "${spec.name}" is no float32 tensor${remedy}`);
    } else if (tensor.shape.length > 0) {
      this.#shape(`${kind} "${spec.name}"`, spec, tensor.shape);
    }
  }

  #shape(label: string, spec: TensorSpec, [batch, ...dims]: readonly (number | string)[]): void {
    if (dims.length !== spec.dims.length) {
      this.problems.push(`${label} has ${dims.length + 1} axes instead of ${spec.dims.length + 1}`);
      return;
    }
    if (typeof batch === 'number') this.#batches.add(batch);
    for (const [axis, wanted] of spec.dims.entries()) {
      const dim = dims[axis];
      if (typeof dim !== 'number') continue;
      if (typeof wanted === 'string') {
        this.#sizes.set(wanted, (this.#sizes.get(wanted) ?? new Set()).add(dim));
      } else if (dim !== wanted) {
        this.problems.push(`axis ${axis + 1} of ${label} is ${dim} instead of ${wanted}`);
      }
    }
  }

  batch(): number | 'dynamic' {
    const [batch, ...others] = this.#batches;
    if (batch === undefined) return 'dynamic';
    if (others.length > 0) this.problems.push(`the batch axis is fixed at both ${[batch, ...others].join(' and ')}`);
    if (batch < 1) this.problems.push(`the batch axis is fixed at ${batch}`);
    return batch;
  }

  namedDims(allowed: Readonly<Record<string, readonly number[]>>): Map<string, number> {
    const bound = new Map<string, number>();
    for (const [name, values] of Object.entries(allowed)) {
      const [size, ...others] = this.#sizes.get(name) ?? [];
      if (size === undefined) {
        this.problems.push(`the size ${name} is fixed nowhere in the model`);
      } else if (others.length > 0 || !values.includes(size)) {
        this.problems.push(`the size ${name} is ${[size, ...others].join(' and ')} instead of ${values.join(' or ')}`);
      } else {
        bound.set(name, size);
      }
    }
    return bound;
  }
}
