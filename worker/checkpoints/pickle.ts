/**
 * Reads Python's pickle format, protocols 2 to 5, as far as a state dict needs it. A pickle is a program for a stack
 * machine that may call any function of Python by its name. Here it can only make numbers, texts, bytes, lists, tuples
 * and dicts, and what its `PickleWorld` gives for a name: nothing is looked up, imported or run.
 */

import { PickleBytes } from './pickle-bytes.ts';
import { Unreadable } from './unreadable.ts';

/** What a name stands for. */
export class PickleGlobal {
  /** "module.name". */
  readonly name: string;
  /** What a call of it gives. Absent for what cannot be called. */
  readonly call: ((args: readonly unknown[]) => unknown) | undefined;

  constructor(name: string, call?: (args: readonly unknown[]) => unknown) {
    this.name = name;
    this.call = call;
  }
}

export interface PickleWorld {
  /** @throws Unreadable for a name that is not known; it says the name. */
  global(module: string, name: string): PickleGlobal;
  /** What an id outside the pickle stands for. @throws Unreadable */
  persistent(id: unknown): unknown;
}

/** Lists and tuples are arrays; a dict is a Map. */
export interface Pickled {
  readonly value: unknown;
  /** Where the next byte is. */
  readonly end: number;
}

/** A state dict takes a few operations for each of some hundred tensors. */
const MAX_OPERATIONS = 4_000_000;
const MAX_PROTOCOL = 5;

/** @throws Unreadable when the pickle is not whole, or wants more than is allowed; says which operation, and where. */
export function readPickle(bytes: Buffer, start: number, world: PickleWorld): Pickled {
  return new Machine(bytes, start, world).run();
}

type Operation = (machine: Machine, source: PickleBytes) => void;

class Machine {
  readonly source: PickleBytes;
  readonly world: PickleWorld;
  readonly memo = new Map<number, unknown>();
  #stack: unknown[] = [];
  /** Stacks below the marks that are open. */
  readonly #outer: unknown[][] = [];

  constructor(bytes: Buffer, start: number, world: PickleWorld) {
    this.source = new PickleBytes(bytes, start);
    this.world = world;
  }

  run(): Pickled {
    for (let count = 0; count < MAX_OPERATIONS; count++) {
      const at = this.source.at;
      const code = this.source.byte();
      if (code === STOP) return { value: this.pop(), end: this.source.at };
      const operation = OPERATIONS.get(code);
      if (operation === undefined) {
        const opcode = `0x${code.toString(16).padStart(2, '0')}`;
        throw new Unreadable(`its pickle has the operation ${opcode} at byte ${at}, which no state dict needs`);
      }
      operation(this, this.source);
    }
    throw new Unreadable(`its pickle has more than ${MAX_OPERATIONS} operations`);
  }

  push(value: unknown): void {
    this.#stack.push(value);
  }

  pop(): unknown {
    if (this.#stack.length === 0) throw new Unreadable('its pickle is damaged: it takes a value that is not there');
    return this.#stack.pop();
  }

  top(): unknown {
    const value = this.pop();
    this.push(value);
    return value;
  }

  mark(): void {
    this.#outer.push(this.#stack);
    this.#stack = [];
  }

  /** What was pushed since the last mark, which is taken away. */
  sinceMark(): unknown[] {
    const values = this.#stack;
    const below = this.#outer.pop();
    if (below === undefined) throw new Unreadable('its pickle is damaged: a mark is missing');
    this.#stack = below;
    return values;
  }

  /** The last `count` values become a tuple. */
  tuple(count: number): void {
    const values = Array.from({ length: count }, () => this.pop());
    this.push(values.reverse());
  }

  remember(index: number): void {
    this.memo.set(index, this.top());
  }

  recall(index: number): void {
    if (!this.memo.has(index)) throw new Unreadable(`its pickle is damaged: it has no value ${index} to come back to`);
    this.push(this.memo.get(index));
  }

  append(values: readonly unknown[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw new Unreadable('its pickle is damaged: it appends to what is no list');
    for (const value of values) list.push(value);
  }

  setItems(pairs: readonly unknown[]): void {
    const dict = this.top();
    if (!(dict instanceof Map) || pairs.length % 2 !== 0) {
      throw new Unreadable('its pickle is damaged: it sets a key of what is no dict');
    }
    for (let index = 0; index < pairs.length; index += 2) dict.set(pairs[index], pairs[index + 1]);
  }

  call(): void {
    const args = this.pop();
    const called = this.pop();
    const isGlobal = called instanceof PickleGlobal;
    if (!isGlobal || called.call === undefined || !Array.isArray(args)) {
      throw new Unreadable(`its pickle calls ${isGlobal ? called.name : 'what is no function'}`);
    }
    this.push(called.call(args));
  }

  /** State of an object. The only ones are dicts, whose attributes, such as `_metadata`, no network needs. */
  build(): void {
    this.pop();
    if (!(this.top() instanceof Map)) throw new Unreadable('its pickle sets attributes of what is no dict');
  }
}

const STOP = 0x2e;
const letter = (text: string) => text.charCodeAt(0);

const OPERATIONS: ReadonlyMap<number, Operation> = new Map<number, Operation>([
  [0x80, (_, source) => requireProtocol(source.byte())],
  // FRAME: a length that only readers of streams need.
  [0x95, (_, source) => source.skip(8)],
  [letter('('), (machine) => machine.mark()],
  [letter('0'), (machine) => machine.pop()],
  [letter('1'), (machine) => machine.sinceMark()],
  [letter('N'), (machine) => machine.push(null)],
  [0x88, (machine) => machine.push(true)],
  [0x89, (machine) => machine.push(false)],
  [letter('J'), (machine, source) => machine.push(source.int32())],
  [letter('K'), (machine, source) => machine.push(source.byte())],
  [letter('M'), (machine, source) => machine.push(source.uint16())],
  [0x8a, (machine, source) => machine.push(source.long(source.byte()))],
  [0x8b, (machine, source) => machine.push(source.long(source.length32()))],
  [letter('G'), (machine, source) => machine.push(source.float64())],
  [letter('X'), (machine, source) => machine.push(source.text(source.length32()))],
  [0x8c, (machine, source) => machine.push(source.text(source.byte()))],
  [0x8d, (machine, source) => machine.push(source.text(source.length64()))],
  [letter('C'), (machine, source) => machine.push(source.bytes(source.byte()))],
  [letter('B'), (machine, source) => machine.push(source.bytes(source.length32()))],
  // Texts of Python 2.
  [letter('U'), (machine, source) => machine.push(source.latin1(source.byte()))],
  [letter('T'), (machine, source) => machine.push(source.latin1(source.length32()))],
  [letter('}'), (machine) => machine.push(new Map())],
  [letter(']'), (machine) => machine.push([])],
  [letter(')'), (machine) => machine.push([])],
  [letter('t'), (machine) => machine.push(machine.sinceMark())],
  [0x85, (machine) => machine.tuple(1)],
  [0x86, (machine) => machine.tuple(2)],
  [0x87, (machine) => machine.tuple(3)],
  [letter('a'), (machine) => machine.append([machine.pop()])],
  [letter('e'), (machine) => machine.append(machine.sinceMark())],
  [letter('s'), (machine) => machine.setItems([machine.pop(), machine.pop()].reverse())],
  [letter('u'), (machine) => machine.setItems(machine.sinceMark())],
  [letter('q'), (machine, source) => machine.remember(source.byte())],
  [letter('r'), (machine, source) => machine.remember(source.uint32())],
  [0x94, (machine) => machine.remember(machine.memo.size)],
  [letter('h'), (machine, source) => machine.recall(source.byte())],
  [letter('j'), (machine, source) => machine.recall(source.uint32())],
  [letter('c'), (machine, source) => machine.push(machine.world.global(source.line(), source.line()))],
  [0x93, pushNamedGlobal],
  [letter('R'), (machine) => machine.call()],
  [letter('b'), (machine) => machine.build()],
  [letter('Q'), (machine) => machine.push(machine.world.persistent(machine.pop()))],
]);

function requireProtocol(protocol: number): void {
  if (protocol > MAX_PROTOCOL) throw new Unreadable(`its pickle has protocol ${protocol}, which is not known`);
}

function pushNamedGlobal(machine: Machine): void {
  const name = machine.pop();
  const module = machine.pop();
  if (typeof module !== 'string' || typeof name !== 'string') {
    throw new Unreadable('its pickle is damaged: a name in it is no text');
  }
  machine.push(machine.world.global(module, name));
}
