import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { NodeFarmClient } from '../../client/node/farm-client.ts';
import { until } from '../support/until.ts';
import type { KeyFarm } from './key-farm.ts';

/**
 * Checks a quota that one file of this size fits, and two do not: the second is refused until the first has been removed.
 * No sound is in them, so that each is stored as an upload of a failed render.
 */
export async function refusesBytes(farm: KeyFarm, client: NodeFarmClient, bytes: number, code: string): Promise<void> {
  const file = path.join(farm.folder, 'no-sound');
  await writeFile(file, Buffer.alloc(bytes));
  const submit = async () => (await client.submit(file, { modelId: 'ann' })).id;
  const failed = async (id: string) => {
    await until('it has failed', async () => (await client.get(id)).status === 'failed');
    return id;
  };
  const first = await failed(await submit());
  await assert.rejects(submit(), { code, message: /GB .*are stored; .*storage_quota_gb allows/ });
  await client.remove(first);
  await client.remove(await failed(await submit()));
}
