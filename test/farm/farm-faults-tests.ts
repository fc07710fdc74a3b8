import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import type { Render } from '../../api/grpc/messages/farm.ts';
import { FARM, TestClient } from '../grpc/clients.ts';
import type { TestFarm } from '../support/farm.ts';
import { videoHash } from '../support/result-files.ts';
import { runCli } from '../support/run-cli.ts';
import { syllables, writeWav } from '../support/sound.ts';
import type { StandInTools } from '../support/tools.ts';
import { until } from '../support/until.ts';

const SEGMENTS = 2;

/**
 * Tests of a farm with segments of 20 frames that takes one try only: whatever goes on after a fault does so because
 * the fault was the farm's. `tools` are those of the farm.
 */
export function describeFarmFaults(farm: TestFarm, tools: StandInTools): void {
  describe('a render whose farm is at fault', () => {
    let folder: string;
    let speech: string;
    let undisturbed: string;

    before(async () => {
      folder = await mkdtemp(path.join(tmpdir(), 'farm-test-faults-'));
      speech = path.join(folder, 'speech.wav');
      await writeWav(speech, syllables(1.2));
      undisturbed = await videoHash(farm.client, (await farm.client.submit(speech)).id);
    });
    afterEach(async () => await tools.restore());
    after(async () => await rm(folder, { recursive: true, force: true }));

    /** Names of the segments that lie in the store. */
    const segmentsOf = async (id: string) => {
      const names = await readdir(path.join(farm.folder, 'data/renders', id, 'segments'));
      return names.filter((name) => /^\d+\.mp4$/.test(name));
    };

    it('waits while ffmpeg finds the disk full, says so, and gives the same video once there is room', async () => {
      await tools.replace(
        'ffmpeg',
        'case "$*" in *aac_coder*) echo "No space left on device" >&2; exit 1;; esac; exec "$REAL" "$@"',
      );
      const { id } = await farm.client.submit(speech);
      const command = runCli('render', '--resume', id, '--url', farm.url, '--out', path.join(folder, 'waited.mp4'));
      await until('the render waits', async () => (await farm.client.get(id)).waiting !== null);
      const { status, waiting } = await farm.client.get(id);
      assert.deepEqual([status, waiting?.code], ['stitching', 'storage_full']);
      assert.ok((waiting?.next_try_at ?? '') > (waiting?.since ?? ''));
      const client = new TestClient(farm.grpcAddress);
      const seen = (await client.unary(FARM, 'GetRender', { render_id: id })) as unknown as Render;
      client.close();
      assert.equal(seen.waiting?.code, 'storage_full');
      await command.until(/The farm waits and tries again: storage_full/);
      await tools.restore();
      assert.equal(await command.exited, 0, command.output());
      assert.equal(await videoHash(farm.client, id), undisturbed);
      assert.equal((await farm.client.get(id)).waiting, null);
    });

    it('can be retried when it has failed all the same, and then only what is missing is made', async () => {
      await tools.replace('ffmpeg', 'case "$*" in *000001.*) echo "x: broken" >&2; exit 1;; esac; exec "$REAL" "$@"');
      const { id } = await farm.client.submit(speech);
      const failing = runCli('render', '--resume', id, '--url', farm.url, '--out', path.join(folder, 'failed.mp4'));
      assert.equal(await failing.exited, 1, failing.output());
      assert.match(failing.output(), new RegExp(`farm retry ${id} takes it up again[^]*encode_failed`));
      const made = await segmentsOf(id);
      await tools.restore();
      const retry = runCli('retry', id, '--url', farm.url);
      assert.equal(await retry.exited, 0, retry.output());
      assert.match(retry.output(), new RegExp(`^Render ${id} is \\w+; farm render --resume ${id} watches it`));
      assert.equal(await videoHash(farm.client, id), undisturbed);
      assert.equal((await farm.client.retry(id)).status, 'completed');
      const renderedAgain = farm.log.filter((line) => line.includes(id) && line.includes('segment rendered'));
      assert.equal(renderedAgain.length, SEGMENTS);
      assert.ok(made.length < SEGMENTS);
      const { segments } = await farm.client.receipt(id);
      assert.deepEqual(
        segments.map(({ index }) => index),
        [...Array(SEGMENTS).keys()],
      );
    });
  });
}
