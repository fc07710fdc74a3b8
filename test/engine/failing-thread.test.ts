import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FarmError } from '../../shared/errors/farm-error.ts';
import { PipelineThread } from '../../worker/engine/pipeline-thread.ts';
import type { PipelineThreadSettings } from '../../worker/engine/thread-protocol.ts';

const FAILING = new URL('./failing-thread.ts', import.meta.url);
const ASKING = new URL('./asking-thread.ts', import.meta.url);
const NEVER = new AbortController().signal;
const WAYS: Record<string, { pipeline: RegExp; compositor: RegExp }> = {
  exits: {
    pipeline: /^The pipeline thread ended by itself, with exit code 0$/,
    compositor: /^The compositor thread ended by itself, with exit code 0$/,
  },
  throws: {
    pipeline: /^The pipeline thread died: a bad day$/,
    compositor: /^The compositor thread died: a bad day$/,
  },
  hangs: {
    pipeline: /^The pipeline thread has made no progress for 1 s$/,
    // What it does not finish is missed in the same place.
    compositor: /^The pipeline thread has made no progress for 1 s$/,
  },
};

for (const failing of ['pipeline', 'compositor'] as const) {
  describe(`a ${failing} thread that fails`, { concurrency: true }, () => {
    for (const [how, says] of Object.entries(WAYS)) {
      it(`${how}: its work fails with the reason, later work too, and the process is told once`, async () => {
        const deaths: FarmError[] = [];
        // A busy machine may take seconds to start a thread.
        const limitMs = how === 'hangs' ? 1000 : 60_000;
        const log = { processName: 'test', level: 'silent' };
        const settings = { how, log, storageRoot: '/nowhere', stuck: { workMs: limitMs, loadMs: limitMs } };
        const listeners = { onDeath: (death: FarmError) => deaths.push(death), onModels() {} };
        const entries = failing === 'pipeline' ? { pipeline: FAILING } : { pipeline: ASKING, compositor: FAILING };
        const thread = new PipelineThread(settings as unknown as PipelineThreadSettings, listeners, entries);
        const load = () => thread.load({ modelId: 'ann' }, NEVER);
        await assert.rejects(load(), { code: 'worker_stuck', message: says[failing] });
        await assert.rejects(load(), { code: 'worker_stuck', message: says[failing] });
        assert.equal(deaths.length, 1);
        assert.equal(deaths[0]?.retryable, true);
      });
    }
  });
}
