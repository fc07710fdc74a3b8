import { globSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

/**
 * `npm run build:wasm`: compiles every `*.kernel.as.ts` (AssemblyScript) into the `.wasm` beside it. Both are committed,
 * so that nobody needs the compiler to run a farm; a test fails while a `.wasm` is not what would be written.
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDERS = ['api', 'worker', 'shared'];

/** No runtime: kernels lay out their memory themselves, which the host imports into them. */
const FEATURES = ['simd', 'relaxed-simd'].flatMap((feature) => ['--enable', feature]);
const OPTIONS = ['-O3', '--runtime', 'stub', ...FEATURES, '--noAssert', '--importMemory', '--use', 'abort='];

/** Paths of the kernels' sources, from the root of the repository. */
export function kernelSources(): string[] {
  return globSync(`{${FOLDERS.join()}}/**/*.kernel.as.ts`, { cwd: ROOT }).sort();
}

export function wasmPathOf(source: string): string {
  return join(ROOT, source.replace(/\.as\.ts$/, '.wasm'));
}

/** The compiled kernel. Errors: the compiler's, with what it printed. */
export async function compileKernel(source: string): Promise<Uint8Array> {
  const written: Uint8Array[] = [];
  const arguments_ = [source, '--baseDir', ROOT, '-o', 'kernel.wasm', ...OPTIONS];
  const { error, stderr } = await asc.main(arguments_, {
    writeFile: (_, contents) => {
      written.push(contents as Uint8Array);
    },
  });
  const [wasm] = written;
  if (error || !wasm) throw new Error(`${source} was not compiled: ${stderr}`, { cause: error });
  return wasm;
}

if (import.meta.main) {
  for (const source of kernelSources()) writeFileSync(wasmPathOf(source), await compileKernel(source));
}
