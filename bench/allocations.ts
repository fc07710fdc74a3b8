import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { HeapProfiler } from 'node:inspector';
import path from 'node:path';

/** What `allocation-sampler.ts` is told, in all threads of its process. */
export type AllocationOrder = { readonly type: 'start' } | { readonly type: 'write'; readonly folder: string };

const MOST_LINES = 12;
const TABLE = 'allocations.txt';

/**
 * Reads the profiles of a folder and writes beside them which functions allocated most, thread by thread.
 * @param frames that were made meanwhile.
 * @returns KB a frame that JavaScript allocated, in all threads, and the file of the table.
 */
export function writeAllocationTable(folder: string, frames: number): { kbAFrame: number; table: string } {
  const lines: string[] = [];
  let total = 0;
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.heapprofile'))) {
    const { head } = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as HeapProfiler.SamplingHeapProfile;
    const bytes = new Map<string, number>();
    addUp(head, bytes);
    const sum = [...bytes.values()].reduce((all, size) => all + size, 0);
    total += sum;
    lines.push('', `${file}: ${kb(sum, frames)} KB a frame`);
    const most = [...bytes].sort(([, a], [, b]) => b - a).slice(0, MOST_LINES);
    lines.push(...most.map(([where, size]) => `  ${kb(size, frames).padStart(8)}  ${where}`));
  }
  const table = path.join(folder, TABLE);
  const about = `Allocated on the heaps of JavaScript, KB a frame, of ${frames} frames (buffers of bytes lie outside)`;
  writeFileSync(table, [about, ...lines, ''].join('\n'));
  return { kbAFrame: total / frames / 1000, table };
}

const kb = (bytes: number, frames: number) => (bytes / frames / 1000).toFixed(2);

function addUp({ callFrame, selfSize, children }: HeapProfiler.SamplingHeapProfileNode, bytes: Map<string, number>) {
  const { functionName, url, lineNumber } = callFrame;
  const file = url.split('/').slice(-3).join('/');
  const where = `${functionName || '(top)'} ${file}${url ? `:${lineNumber + 1}` : ''}`.trim();
  bytes.set(where, (bytes.get(where) ?? 0) + selfSize);
  for (const child of children) addUp(child, bytes);
}
