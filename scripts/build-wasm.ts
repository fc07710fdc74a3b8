import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * `npm run build:wasm`: compiles every `*.kernel.as.ts` (AssemblyScript) into the `.wasm` beside it. Both are committed,
 * so that nobody needs the compiler to run a farm; a test fails while a `.wasm` is not what would be written.
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const ASC = join(ROOT, 'node_modules', 'assemblyscript', 'bin', 'asc.js');
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
export function compileKernel(source: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'farm-wasm-'));
  try {
    const output = join(folder, 'kernel.wasm');
    execFileSync(process.execPath, [ASC, source, '-o', output, ...OPTIONS], { cwd: ROOT });
    return readFileSync(output);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (import.meta.main) for (const source of kernelSources()) writeFileSync(wasmPathOf(source), compileKernel(source));
