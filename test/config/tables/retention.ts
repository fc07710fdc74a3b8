import assert from 'node:assert/strict';
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { until } from '../../support/until.ts';
import type { KeyFarm } from '../key-farm.ts';
import type { KeyCheck } from '../key-table.ts';

/** Keys of what expires, on a farm that looks every two seconds. */
export const RETENTION = {
  every_minutes: 0.03,
  completed_days: 2,
  failed_days: 0.000_001,
  max_stored_gb: 0.001,
  orphan_hours: 2,
  failed_job_days: 0.000_001,
  prepared_days: 2,
} as const;

const HOUR_MS = 3_600_000;
const MB = 2 ** 20;

interface Bench {
  readonly farm: KeyFarm;
}

export const retentionChecks: Readonly<Record<string, KeyCheck<Bench>>> = {
  'retention.failed_days retention.every_minutes': async ({ farm }) => {
    const file = path.join(farm.folder, 'no-sound.wav');
    await writeFile(file, 'no sound');
    const { id } = await farm.client.submit(file, { modelId: 'ann' });
    await until('the failed render is gone, files and all', async () => !(await names(farm)).includes(id));
    await assert.rejects(farm.client.get(id), { code: 'render_unknown' });
  },
  'retention.failed_job_days': async ({ farm }) => {
    const failed = async () => {
      const answer = await fetch(`${farm.url}/dashboard/api/queues`);
      const { queues } = (await answer.json()) as { queues: { name: string; counts: { failed: number } }[] };
      return queues.find(({ name }) => name === 'media')?.counts.failed;
    };
    await until('the job that failed has gone', async () => (await failed()) === 0);
  },
  'retention.orphan_hours': async ({ farm }) => {
    await put(farm, 'r0-0a', '.upload.half', 1);
    await put(farm, 'r0-0b', '.upload.half', 3);
    await goesAlone(farm, 'r0-0b', 'r0-0a');
  },
  'retention.prepared_days': async ({ farm }) => {
    const folder = path.join(farm.folder, 'data/prepared/0a');
    const [used, unused, strange] = ['0', '1', '2'].map((digit) => path.join(folder, `${digit.repeat(32)}.picture`));
    await mkdir(folder, { recursive: true });
    const ages = [
      [used, 24],
      [unused, 72],
      [`${strange}.jpg`, 72],
    ] as const;
    for (const [file, hoursAgo] of ages) {
      await writeFile(file ?? '', 'pixels');
      const then = new Date(Date.now() - hoursAgo * HOUR_MS);
      await utimes(file ?? '', then, then);
    }
    const left = async () => (await readdir(folder)).sort();
    await until('what was not used for three days has gone', async () => (await left()).length < ages.length);
    assert.deepEqual(await left(), [path.basename(used ?? ''), `${path.basename(strange ?? '')}.jpg`]);
  },
  'retention.completed_days': async ({ farm }) => {
    await put(farm, 'r0-1a', 'receipt.json', 24);
    await put(farm, 'r0-1b', 'receipt.json', 72);
    await goesAlone(farm, 'r0-1b', 'r0-1a');
  },
  'retention.max_stored_gb': async ({ farm }) => {
    await put(farm, 'r0-2a', 'receipt.json', 12);
    await put(farm, 'r0-2b', 'receipt.json', 30, 2 * MB);
    await goesAlone(farm, 'r0-2b', 'r0-2a');
  },
};

/** Writes a file as that of a render, as if it had been touched so long ago. */
async function put(farm: KeyFarm, renderId: string, file: string, hoursAgo: number, bytes = 10): Promise<void> {
  const folder = path.join(farm.folder, 'data/renders', renderId);
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, file), Buffer.alloc(bytes));
  const then = new Date(Date.now() - hoursAgo * HOUR_MS);
  for (const place of [path.join(folder, file), folder]) await utimes(place, then, then);
}

async function goesAlone(farm: KeyFarm, goes: string, stays: string): Promise<void> {
  await until(`${goes} has gone`, async () => !(await names(farm)).includes(goes));
  assert.ok((await names(farm)).includes(stays), `${stays} stays`);
}

async function names(farm: KeyFarm): Promise<string[]> {
  return await readdir(path.join(farm.folder, 'data/renders'));
}
