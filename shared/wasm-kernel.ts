import { readFileSync } from 'node:fs';

/** The part of the JavaScript interface of WebAssembly that kernels need; Node's types leave it out. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Memory: new (pages: { initial: number; maximum: number; shared?: boolean }) => { readonly buffer: ArrayBuffer };
  Instance: new (module: object, imports: object) => { readonly exports: object };
};

const PAGE_BYTES = 65_536;

export interface Kernel<Exports> {
  readonly exports: Exports;
  /** The whole memory; it stays where it is. */
  readonly memory: ArrayBuffer;
}

const compiled = new Map<string, object>();

/**
 * An instance of a kernel that `npm run build:wasm` has made, with a memory of its own, which the caller lays out.
 * @param url of the `.wasm` file; each is compiled once a thread.
 * @param memoryBytes rounded up to whole pages of 64 KB; at most 4 GB.
 * @typeParam Exports the functions that the kernel exports: numbers in, numbers out.
 * @throws RangeError when there is no room for the memory.
 */
export function startKernel<Exports>(url: URL, memoryBytes: number): Kernel<Exports> {
  const module = compiled.get(url.href) ?? new WebAssembly.Module(readFileSync(url));
  compiled.set(url.href, module);
  const pages = Math.ceil(memoryBytes / PAGE_BYTES);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  return { exports: exports as Exports, memory: memory.buffer };
}
