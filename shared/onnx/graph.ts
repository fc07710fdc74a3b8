/** An ONNX graph as data, and the builder that grows one node by node. Pure: `encode.ts` turns it into a file. */

/** A fixed size, or the name of one that is only known when the graph runs. */
export type Dim = number | string;

/** What a node reads and writes: the name of a tensor in the graph. */
export type TensorName = string & { readonly tensor: unique symbol };

export type AttributeValue =
  | number
  | string
  | readonly number[]
  | { readonly float: number }
  | { readonly graph: Graph };

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
  /** Whole numbers are ints, strings strings, arrays lists of ints; a float is `{ float: … }`, a branch `{ graph: … }`. */
  readonly attributes: Readonly<Record<string, AttributeValue>>;
}

export type PortType = 'float32' | 'float16' | 'uint8' | 'int64';

/** An input or output of the graph. */
export interface GraphPort {
  readonly name: TensorName;
  readonly type: PortType;
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
  readonly #prefix: string;
  readonly #nodes: GraphNode[] = [];
  readonly #constants: TensorConstant[] = [];
  readonly #constantsByKey = new Map<string, TensorName>();
  readonly #inputs: GraphPort[] = [];
  readonly #outputs: GraphPort[] = [];
  #tensorCount = 0;

  /**
   * @param description travels in the file, for whoever opens it.
   * @param prefix begins the names that are made here, so that they differ from those of another graph.
   */
  constructor(name: string, description: string, prefix = '') {
    this.#name = name;
    this.#description = description;
    this.#prefix = prefix;
  }

  input(name: string, dims: readonly Dim[], type: PortType = 'float32'): TensorName {
    const port = { name: name as TensorName, type, dims };
    this.#inputs.push(port);
    return port.name;
  }

  /** Declares `tensor` an output under the public name `name`. */
  output(name: string, tensor: TensorName, dims: readonly Dim[], type: PortType = 'float32'): void {
    this.#outputs.push({ name: this.alias(name, tensor), type, dims });
  }

  /** Gives `tensor` a second name, by which another graph knows it. */
  alias(name: string, tensor: TensorName): TensorName {
    const output = name as TensorName;
    this.#nodes.push({ op: 'Identity', inputs: [tensor], outputs: [output], attributes: {} });
    return output;
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
    return `${this.#prefix}${stem}_${this.#tensorCount++}` as TensorName;
  }
}
