import assert from 'node:assert/strict';
import { mkdtemp, readdir } from 'node:fs/promises';
import path from 'node:path';
import { it } from 'node:test';
import type { TestFarm } from '../support/farm.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { makeStubs, noPythonGrpc, runPython } from './python.ts';

/** The short form of test/faults/python-clients.faults.ts. @param farm has the demo avatar. */
export function describePython(farm: TestFarm): void {
  it('a Python client of the one-process server writes frames', { skip: noPythonGrpc }, async () => {
    const folder = await mkdtemp(path.join(farm.folder, 'python-'));
    const [speech, out] = [path.join(folder, 'speech.wav'), path.join(folder, 'out')];
    await writeWav(speech, syllables(0.5));
    await makeStubs(folder, 'monolithic');
    const args = [speech, '--address', farm.grpcAddress, '--frames', '2', '--out', out];
    await runPython(folder, 'examples/python/infer.py', ...args);
    assert.equal((await readdir(out)).length, 2);
  });
}
