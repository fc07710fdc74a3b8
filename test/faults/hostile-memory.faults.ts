import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { MB } from '../../shared/units.ts';
import { RawClient } from '../grpc/raw-calls.ts';
import { startFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';

const CONNECTIONS = 10;
const CALLS_EACH = 8;
/** A request of 24 frames with pictures of the larger kind. */
const MESSAGE_BYTES = 59 * MB;
const SENT_BYTES = 40 * MB;
const PIECE = Buffer.alloc(MB / 4);
const BUDGET_MB = 512;
/** What a front end has in memory without any request, with room for what is collected late. */
const REST_MB = 400;

test('large messages that are sent slowly on many connections do not fill the memory of the front end', async () => {
  await using farm = await startFarm({
    models: { small: SMALL_MODEL },
    limits: { memory_budget_mb: BUDGET_MB },
  });
  using ends = new DisposableStack();
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => RawClient.connect(farm.grpcAddress)));
  for (const client of clients) ends.use(client);
  const calls = clients.flatMap((client) => Array.from({ length: CALLS_EACH }, () => client.call()));
  let refused = 0;
  for (const call of calls) {
    void call.refused.then(({ code }) => {
      if (code === 'memory_full') refused += 1;
    });
    call.announce(MESSAGE_BYTES);
  }
  for (let sent = 0; sent < SENT_BYTES; sent += PIECE.length) {
    await Promise.race([Promise.all(calls.map((call) => call.send(PIECE)))]);
  }
  const peakMb = await peakOf(farm.farm.pids.get('api') as number);
  console.log(
    `${calls.length} calls of 59 MB on ${CONNECTIONS} connections: ${refused} refused, peak RSS ${peakMb} MB`,
  );
  assert.ok(refused > 0 && refused < calls.length, `${refused} refused`);
  assert.ok(peakMb < BUDGET_MB + REST_MB, `${peakMb} MB`);
  // The front end still does its work.
  const speech = `${farm.folder}/speech.wav`;
  await writeWav(speech, syllables(0.5));
  const { id } = await farm.client.submit(speech);
  assert.equal((await farm.client.finished(id)).status, 'completed');
});

/** The most memory that a process has had, in MB. */
async function peakOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1]) / 1024);
}
