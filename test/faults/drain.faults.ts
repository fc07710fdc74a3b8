import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { it } from 'node:test';
import { stringify } from 'yaml';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { NodeFarmClient } from '../../client/node/farm-client.ts';
import { runCli } from '../support/run-cli.ts';
import { buildSmallAvatar, SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';

/** `farm up` is told to stop in the middle of a long render, several times, and started again each time. */

const SECONDS = 120;
const FRAMES = 25 * SECONDS;
const STOPS = 3;

it('a long render goes on where it was each time that farm up is stopped and started again', async (t) => {
  await buildSmallAvatar();
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-drain-'));
  const file = path.join(folder, 'config.yaml');
  const port = await freePort();
  const settings = {
    models: { small: SMALL_MODEL },
    http: { port },
    server: { port: `127.0.0.1:${await freePort()}` },
    // Longer than a drain may take: it is handed back.
    render: { segment_frames: 1000 },
    limits: { drain_seconds: 1 },
    storage: { segment_cache_gb: 0 },
  };
  await writeFile(file, stringify(settings));
  const speech = path.join(folder, 'speech.wav');
  await writeWav(speech, syllables(SECONDS));
  const client = new NodeFarmClient(`http://127.0.0.1:${port}`);
  const framesOf = async (id: string) => {
    const frames: Buffer[] = [];
    for (let index = 0; index < FRAMES; index++) frames.push(await client.frame(id, index));
    return Buffer.concat(frames);
  };
  const start = async () => {
    const up = runCli('up', '--config', file);
    await up.until(/The farm is up/);
    return up;
  };
  try {
    let up = await start();
    const { id: peaceful } = await client.submit(speech, { output: 'frames' });
    await client.finished(peaceful);
    const expected = await framesOf(peaceful);
    const { id } = await client.submit(speech, { output: 'frames' });
    for (let stop = 1; stop <= STOPS; stop++) {
      const wanted = Math.round((FRAMES * stop) / (STOPS + 2));
      for await (const view of client.watch(id)) if (view.frames.done >= wanted) break;
      const askedAtMs = performance.now();
      up.child.kill('SIGTERM');
      assert.equal(await up.exited, 0, up.output());
      assert.match(up.output(), /The farm has stopped/);
      const drained = ((performance.now() - askedAtMs) / 1000).toFixed(1);
      up = await start();
      t.diagnostic(`figure: SIGTERM with a long render, stop ${stop}: stopped after ${drained} s`);
    }
    const startedAtMs = performance.now();
    await client.finished(id);
    t.diagnostic(`figure: ended ${((performance.now() - startedAtMs) / 1000).toFixed(1)} s after the last start`);
    assert.ok((await framesOf(id)).equals(expected), 'frames differ');
    up.child.kill('SIGTERM');
    await up.exited;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
