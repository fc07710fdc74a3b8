import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { LiveRequests } from '../engine/live-requests.ts';
import { startFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';

/** More than a GPU worker takes beside a segment: some always wait on its queue. */
const CALLERS = 48;
const SOUND = syllables(4);
const PAYLOAD = { audio: Buffer.from(SOUND.buffer) };

test('a render ends while live requests never do', async () => {
  await using farm = await startFarm({ models: { small: SMALL_MODEL }, render: { segment_frames: 40 } });
  await using live = new LiveRequests(farm.farm.redisUrl);
  const speech = path.join(farm.folder, 'speech.wav');
  await writeWav(speech, syllables(4));
  const rendered = new AbortController();
  let answered = 0;
  const callers = Array.from({ length: CALLERS }, async () => {
    while (!rendered.signal.aborted) {
      const job = live.job({ frames: { start: 0, end: 8 }, totalSamples: SOUND.length });
      const { end } = await live.ask(job, PAYLOAD);
      assert.equal(end.type, 'done', JSON.stringify(end));
      answered += 1;
    }
  });
  const startedAt = performance.now();
  const { id } = await farm.client.submit(speech);
  const view = await farm.client.finished(id);
  const before = answered;
  rendered.abort();
  await Promise.all(callers);
  assert.equal(view.status, 'completed');
  assert.ok(before > CALLERS, `${before} live requests were answered meanwhile`);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(`4 s of video beside ${CALLERS} callers: ${seconds} s, ${before} live requests answered meanwhile`);
});
