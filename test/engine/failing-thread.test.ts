import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FarmError } from '../../shared/errors.ts';
import { PipelineThread } from '../../worker/engine/pipeline-thread.ts';
import type { PipelineThreadSettings } from '../../worker/engine/thread-protocol.ts';

const ENTRY = new URL('./failing-thread.ts', import.meta.url);
const NEVER = new AbortController().signal;
const WAYS: Record<string, RegExp> = {
  exits: /^The pipeline thread ended by itself, with exit code 0$/,
  throws: /^The pipeline thread died: a bad day$/,
  hangs: /^The pipeline thread has made no progress for 1 s$/,
};

describe('a pipeline thread that fails', { concurrency: true }, () => {
  for (const [how, says] of Object.entries(WAYS)) {
    it(`${how}: its work fails with the reason, later work too, and the process is told once`, async () => {
      const deaths: FarmError[] = [];
      // A busy machine may take seconds to start a thread.
      const limitMs = how === 'hangs' ? 1000 : 60_000;
      const settings = { how, stuck: { workMs: limitMs, loadMs: limitMs } } as unknown as PipelineThreadSettings;
      const listeners = { onDeath: (death: FarmError) => deaths.push(death), onModels() {} };
      const thread = new PipelineThread(settings, listeners, ENTRY);
      const load = () => thread.load({ modelId: 'ann' }, NEVER);
      await assert.rejects(load(), { code: 'worker_stuck', message: says });
      await assert.rejects(load(), { code: 'worker_stuck', message: says });
      assert.equal(deaths.length, 1);
      assert.equal(deaths[0]?.retryable, true);
    });
  }
});
