import assert from 'node:assert/strict';
import { mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { workerConnection } from '../../shared/redis/connections.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import { INDEX_KEY, recordKey, STORED_SUMS_KEY } from '../../shared/renders/keys.ts';
import { StoredBytes } from '../../shared/renders/stored-bytes.ts';
import { whileDrained } from '../support/drained-gpus.ts';
import type { TestFarm } from '../support/farm.ts';
import { RESULT_FILES } from '../support/result-files.ts';
import { runCli } from '../support/run-cli.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

const DAY_MS = 86_400_000;

/** Tests of a farm that removes nothing by itself and in which nothing has been rendered yet. */
export function describeRetention(farm: TestFarm): void {
  const redis = workerConnection(farm.farm.redisUrl);
  after(() => redis.disconnect());
  const renders = path.join(farm.folder, 'data/renders');
  const listed = async () => (await readdir(renders)).sort();

  /** As if nobody had touched anything of a render for so long. */
  async function age(renderId: string, days: number): Promise<void> {
    const then = new Date(Date.now() - days * DAY_MS);
    const names = await readdir(path.join(renders, renderId), { recursive: true });
    for (const name of [...names, '.']) await utimes(path.join(renders, renderId, name), then, then);
  }

  async function gc(...options: string[]): Promise<string> {
    const { exited, output } = runCli('gc', '--url', farm.url, ...options);
    assert.equal(await exited, 0, output());
    return output();
  }

  /** Begins an upload that never ends, and kills the front end in the middle of it. Returns the folder that is left. */
  async function cutOffUpload(): Promise<string> {
    const before = await listed().catch((): string[] => []);
    const body =
      '--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\nthe beginning of a sound';
    const headers = { 'content-type': 'multipart/form-data; boundary=x', 'content-length': 1_000_000 };
    const upload = request(`${farm.url}/v1/renders`, { method: 'POST', headers });
    upload.on('error', () => {}); // Its other end is killed.
    upload.write(body + 'x'.repeat(100_000));
    let left: string | undefined;
    await until('half a file is in the store', async () => {
      left = (await listed().catch((): string[] => [])).find((name) => !before.includes(name));
      const [half] = left === undefined ? [] : await readdir(path.join(renders, left));
      return half !== undefined && (await stat(path.join(renders, left ?? '', half))).size > 0;
    });
    farm.kill('api');
    await until(
      'the next front end answers',
      async () =>
        await farm.client.greet().then(
          () => true,
          () => false,
        ),
    );
    return left ?? '';
  }

  describe('what has expired', () => {
    it('is half an upload whose front end was killed, a day after; what runs stays, however old its files look', async () => {
      const orphan = await cutOffUpload();
      const speech = path.join(farm.folder, 'speech.wav');
      await writeWav(speech, syllables(1));
      const done = (await farm.client.submit(speech)).id;
      await farm.client.finished(done);
      assert.match(await gc(), /Nothing has expired/);

      const running = await whileDrained(farm, [0], async () => {
        const { id } = await farm.client.submit(speech);
        await until('it is planned', async () => (await farm.client.get(id)).status === 'rendering');
        for (const each of [orphan, done, id]) await age(each, 300);
        const shown = await gc('--dry-run');
        assert.match(shown, new RegExp(`files +${orphan} +\\d.* KB +files without a record, untouched for 300 days`));
        assert.match(shown, /1 would go/);
        assert.deepEqual(await listed(), [orphan, done, id].sort());
        assert.match(await gc(), /1 removed/);
        assert.deepEqual(await listed(), [done, id].sort());
        return id;
      });
      await farm.client.finished(running);
      assert.equal((await farm.client.receipt(running)).frames, 25);
    });

    it('is a record whose files were removed by hand, and what a render left half written', async () => {
      const [first = '', second = ''] = await listed();
      for (const id of [first, second])
        await redis.hset(recordKey(id), 'finishedAtMs', String(Date.now() - 3 * DAY_MS));
      await redis.zadd(INDEX_KEY, 1, 'r0-00');
      await rm(path.join(renders, first), { recursive: true });
      await mkdir(path.join(renders, second, 'segments'), { recursive: true });
      await writeFile(path.join(renders, second, '.video.half.mp4'), 'half');
      await age(second, 3);
      await redis.hset(STORED_SUMS_KEY, 'all', 10 ** 12);
      const said = await gc();
      assert.match(said, new RegExp(`render +${first} .*its files are gone`));
      assert.match(said, /entry +r0-00 /);
      await assert.rejects(farm.client.get(first), { code: 'render_unknown' });
      const left = (await readdir(path.join(renders, second))).sort();
      assert.deepEqual(left, RESULT_FILES);
      await farm.client.collectExpired(false);
      const sizes = await Promise.all(left.map(async (name) => (await stat(path.join(renders, second, name))).size));
      const bytes = sizes.reduce((sum, size) => sum + size, 0);
      assert.equal((await new StoredBytes(redis).totals()).bytes, bytes, 'what is stored counts, whatever was counted');
    });

    it("is removed by one process at a time, and by none while the data folder is another farm's", async () => {
      await redis.set(`${KEY_PREFIX}:gc:lease`, 'another process', 'PX', 60_000);
      try {
        await assert.rejects(farm.client.collectExpired(false), { code: 'gc_running' });
      } finally {
        await redis.del(`${KEY_PREFIX}:gc:lease`);
      }
      const id = await redis.getset(`${KEY_PREFIX}:id`, 'farm-000000000000');
      try {
        await assert.rejects(farm.client.collectExpired(true), { code: 'farm_mismatch' });
      } finally {
        await redis.set(`${KEY_PREFIX}:id`, id ?? '');
      }
      assert.deepEqual((await farm.client.collectExpired(true)).items, []);
    });
  });
}
