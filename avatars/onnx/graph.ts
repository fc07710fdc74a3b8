/** An ONNX graph as data, and the builder that grows one node by node. Pure: `encode.ts` turns it into a file. */

/** A fixed size, or the name of one that is only known when the graph runs. */
export type Dim = number | string;

/** What a node reads and writes: the name of a tensor in the graph. */
export type TensorName = string & { readonly tensor: unique symbol };

export type AttributeValue = number | string | readonly number[] | { readonly float: number };

/** Raw little-endian values and their shape. */
export interface TensorConstant {
  readonly name: TensorName;
  readonly dims: readonly number[];
  readonly data: Float32Array | BigInt64Array;
}

export interface GraphNode {
  readonly op: string;
  readonly inputs: readonly TensorName[];
  readonly outputs: readonly TensorName[];
  /** Whole numbers are ints, strings strings, arrays lists of ints; a float is `{ float: … }`. */
  readonly attributes: Readonly<Record<string, AttributeValue>>;
}

/** A float32 input or output of the graph. */
export interface GraphPort {
  readonly name: TensorName;
  readonly dims: readonly Dim[];
}

export interface Graph {
  readonly name: string;
  readonly description: string;
  readonly nodes: readonly GraphNode[];
  readonly constants: readonly TensorConstant[];
  readonly inputs: readonly GraphPort[];
  readonly outputs: readonly GraphPort[];
}

export class GraphBuilder {
  readonly #name: string;
  readonly #description: string;
  readonly #nodes: GraphNode[] = [];
  readonly #constants: TensorConstant[] = [];
  readonly #constantsByKey = new Map<string, TensorName>();
  readonly #inputs: GraphPort[] = [];
  readonly #outputs: GraphPort[] = [];
  #tensorCount = 0;

  /** `description` travels in the file, for whoever opens it. */
  constructor(name: string, description: string) {
    this.#name = name;
    this.#description = description;
  }

  input(name: string, dims: readonly Dim[]): TensorName {
    const port = { name: name as TensorName, dims };
    this.#inputs.push(port);
    return port.name;
  }

  /** Declares `tensor` an output under the public name `name`. */
  output(name: string, tensor: TensorName, dims: readonly Dim[]): void {
    const port = { name: name as TensorName, dims };
    this.#nodes.push({ op: 'Identity', inputs: [tensor], outputs: [port.name], attributes: {} });
    this.#outputs.push(port);
  }

  /** Adds a node with one output and returns that. */
  node(op: string, inputs: readonly TensorName[], attributes: GraphNode['attributes'] = {}): TensorName {
    const output = this.#fresh(op);
    this.#nodes.push({ op, inputs, outputs: [output], attributes });
    return output;
  }

  /** A float32 constant of any shape; `data` is kept, not copied. */
  tensor(dims: readonly number[], data: Float32Array): TensorName {
    return this.#constant('float', dims, data);
  }

  /** A float32 constant without dimensions; equal ones are shared. */
  scalar(value: number): TensorName {
    return this.#shared(`float ${value}`, () => this.#constant('float', [], Float32Array.of(value)));
  }

  /** A list of int64, as shapes, axes and bounds are given; equal ones are shared. */
  integers(...values: readonly number[]): TensorName {
    return this.#shared(`int ${values.join(' ')}`, () =>
      this.#constant('int', [values.length], BigInt64Array.from(values, BigInt)),
    );
  }

  build(): Graph {
    return {
      name: this.#name,
      description: this.#description,
      nodes: this.#nodes,
      constants: this.#constants,
      inputs: this.#inputs,
      outputs: this.#outputs,
    };
  }

  #constant(kind: string, dims: readonly number[], data: TensorConstant['data']): TensorName {
    const size = dims.reduce((product, dim) => product * dim, 1);
    if (size !== data.length) throw new RangeError(`a constant of shape [${dims}] got ${data.length} values`);
    const name = this.#fresh(kind);
    this.#constants.push({ name, dims, data });
    return name;
  }

  #shared(key: string, make: () => TensorName): TensorName {
    const known = this.#constantsByKey.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#constantsByKey.set(key, made);
    return made;
  }

  #fresh(stem: string): TensorName {
    return `${stem}_${this.#tensorCount++}` as TensorName;
  }
}
