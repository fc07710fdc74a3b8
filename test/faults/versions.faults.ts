import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { checkOut, HERE, MixedFarm, type ProcessOfFarm } from './mixed-farm.ts';

/** Processes of this version beside those of an earlier one, on one Redis and one data folder. */

const EARLIER = '742ede6';
const earlier = await checkOut(EARLIER);
after(async () => earlier && (await rm(path.dirname(earlier), { recursive: true, force: true })));
const skip = earlier === undefined && `the history does not reach back to ${EARLIER}`;

type Part = 'api' | 'media' | 'gpu';

/** A farm of one process each; those that are named run the earlier version. */
async function results(...old: readonly Part[]): Promise<{ video: string; frames: string[] }> {
  const from = (part: Part, args: ProcessOfFarm['args']): ProcessOfFarm => ({
    args,
    root: old.includes(part) ? (earlier ?? '') : HERE,
  });
  await using farm = await MixedFarm.start(
    from('media', ['worker', '--media']),
    from('gpu', ['worker', '--gpu', '0']),
    from('api', ['api']),
  );
  const found = { video: await farm.video(), frames: await farm.frames() };
  assert.equal((await farm.client.list()).renders[0]?.status, 'completed');
  assert.equal((await farm.client.gpus()).gpus[0]?.state, 'ready');
  return found;
}

describe('a farm of two versions', { skip }, () => {
  it('renders the same as one of this version, whichever process is the older', async () => {
    const expected = await results();
    for (const old of [['api'], ['media'], ['gpu'], ['media', 'gpu'], ['api', 'media']] as const) {
      assert.deepEqual(await results(...old), expected, `with an older ${old.join(' and ')}`);
      console.log(`older ${old.join(' and ')}: the same video and frames`);
    }
  });

  it('leaves the end of a failed render readable to both', async () => {
    for (const old of [['api'], ['media']] as const) {
      await using farm = await MixedFarm.start(
        { args: ['worker', '--media'], root: old[0] === 'media' ? (earlier ?? '') : HERE },
        { args: ['api'], root: old[0] === 'api' ? (earlier ?? '') : HERE },
      );
      const { id } = await farm.client.submit(path.join(farm.folder, 'config.yaml'));
      await assert.rejects(farm.client.finished(id), { code: 'audio_unreadable' });
      assert.equal((await farm.client.list()).renders.length, 1);
    }
  });
});
