import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { liveAliveKey } from '../../shared/live/live-payload.ts';
import { CANCEL_CHANNEL } from '../../shared/renders/store.ts';
import { LiveRequests, summaryOf } from '../engine/live-requests.ts';
import type { TestFarm } from '../support/farm.ts';
import { videoHash } from '../support/result-files.ts';
import { runsSegment, untilSegmentRuns } from '../support/running-segment.ts';
import { syllables, writeWav } from '../support/sound.ts';

/** Long enough for a few requests while it is rendered, on a quick machine that is busy with other tests, too. */
const SECONDS = 30;
const AT_ONCE = 8;
const SOUND = syllables(4);
const PAYLOAD = { audio: Buffer.from(SOUND.buffer) };

/** Tests of a farm with the small avatar whose renders are one segment each: all else would wait for a whole render. */
export function describeGivingWay(farm: TestFarm): void {
  describe('live jobs beside a render', () => {
    let live: LiveRequests;
    let speech = '';

    before(async () => {
      live = new LiveRequests(farm.farm.redisUrl);
      speech = path.join(farm.folder, 'speech.wav');
      await writeWav(speech, syllables(SECONDS));
      assert.equal((await ask(1)).end.type, 'done');
    });
    after(async () => {
      await live[Symbol.asyncDispose]();
    });

    const request = (frames: number) => live.job({ frames: { start: 0, end: frames }, totalSamples: SOUND.length });
    const ask = (frames: number) => live.ask(request(frames), PAYLOAD);

    /** Starts a render, and does something that is over while its segment still runs. Returns the render's id. */
    async function besideSegment(work: () => Promise<void>): Promise<string> {
      for (let tries = 3; ; tries--) {
        const { id, gpu } = await untilSegmentRuns(farm.client, () => farm.client.submit(speech, { modelId: 'small' }));
        await work();
        if (await runsSegment(farm.client, id, gpu)) return id;
        // A machine that stands still for a while may find the segment done.
        assert.ok(tries > 1, 'the segment still runs');
      }
    }

    it('are answered while a segment runs, and its pictures stay the same', async () => {
      const undisturbed = await videoHash(farm.client, (await farm.client.submit(speech, { modelId: 'small' })).id);
      const id = await besideSegment(async () => {
        const first = await ask(1);
        assert.equal(first.frames.size, 1, JSON.stringify(first.end));
      });
      for (const frames of [5, 1]) {
        const answer = await ask(frames);
        assert.equal(answer.frames.size, frames, JSON.stringify(answer.end));
      }
      const many = await Promise.all(Array.from({ length: AT_ONCE + 3 }, () => ask(4)));
      for (const answer of many) assert.equal(answer.frames.size, 4, JSON.stringify(answer.end));
      assert.equal(await videoHash(farm.client, id), undisturbed);
    });

    it('are answered when the wake-up is lost', async () => {
      const id = await besideSegment(async () => {
        const job = request(2);
        await live.save(job, PAYLOAD);
        await live.queue.add(job.name, job, live.options(job));
        const seen: string[] = [];
        for await (const entry of live.entries(job.requestId)) {
          seen.push(entry.type);
          if (entry.type === 'done' || entry.type === 'failed') break;
        }
        assert.deepEqual(seen, ['taken', 'frame', 'frame', 'done']);
      });
      await farm.client.cancel(id);
    });

    it('all finish when eight come at once, each as if it were alone', async () => {
      const alone = await ask(6);
      const answers = await Promise.all(Array.from({ length: AT_ONCE }, () => ask(6)));
      for (const answer of answers) {
        assert.deepEqual([...answer.frames.keys()], [0, 1, 2, 3, 4, 5]);
        assert.deepEqual([...answer.frames.values()], [...alone.frames.values()]);
        assert.ok(summaryOf(answer).modelWasLoaded);
      }
    });

    it('stop when they are cancelled, and leave no liveness key', async () => {
      // More frames than can be done before the cancellation arrives.
      const job = request(2000);
      await live.save(job, PAYLOAD);
      const seen: number[] = [];
      const adding = live.add(job);
      for await (const entry of live.entries(job.requestId)) {
        if (entry.type === 'frame') seen.push(entry.frameIndex);
        assert.notEqual(entry.type, 'done');
        if (seen.length === 1) {
          assert.equal(await live.redis.get(liveAliveKey(job.requestId)), '1');
          await live.redis.publish(CANCEL_CHANNEL, job.requestId);
          break;
        }
      }
      await adding;
      const ended = await live.whenFinished(job);
      assert.match(ended, /^stopped: /);
      assert.equal(await live.redis.exists(liveAliveKey(job.requestId)), 0);
      assert.ok((await live.framesWritten(job)) < 2000);
      assert.equal((await ask(1)).end.type, 'done');
    });

    it('leave nothing poisonous behind when their worker is killed', async () => {
      // More frames than can be done before the signal arrives.
      const job = request(2000);
      await live.save(job, PAYLOAD);
      const adding = live.add(job);
      for await (const entry of live.entries(job.requestId)) {
        if (entry.type !== 'frame') continue;
        farm.kill('gpu-0');
        break;
      }
      await adding;
      // What a front end does when the liveness key expires: a second attempt.
      const { frames } = request(50);
      const answer = await live.ask({ ...job, frames, attempt: 2 }, PAYLOAD);
      assert.equal(answer.end.type, 'done');
      const again = await ask(3);
      assert.equal(again.frames.size, 3);
      assert.match(await live.whenFinished(job), /^(stopped: |skipped: )|stalled/);
      assert.equal((await ask(1)).end.type, 'done');
    });
  });
}
