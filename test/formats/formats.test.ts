import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { storedErrorSchema, toStoredError } from '../../shared/formats/stored-error.ts';
import { type Job, jobSchema } from '../../shared/jobs/jobs.ts';
import { jobOptions, QueueClients } from '../../shared/jobs/queues.ts';
import { liveSummarySchema } from '../../shared/live/frames.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import { renderRecordSchema, segmentReceiptSchema } from '../../shared/renders/record.ts';
import { heartbeatSchema, readHeartbeats, startHeartbeat } from '../../shared/workers/heartbeat.ts';
import { Consumer } from '../../worker/jobs/consumer.ts';
import { SILENT_LOGGER } from '../support/quiet-log.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { until } from '../support/until.ts';
import { fieldsOf } from './fields-of.ts';
import first from './first.json' with { type: 'json' };

/** What processes of several versions read and write: first.json is what the first version did. */

const NOW = {
  job: jobSchema,
  heartbeat: heartbeatSchema,
  record: renderRecordSchema,
  segmentReceipt: segmentReceiptSchema,
  liveSummary: liveSummarySchema,
};
/** Read with more patience than the first version had, and written so that it can read them: see stored-error.ts. */
const READ_WITH_PATIENCE = /^\.error\?\.(?:code|exactCode)/;
/** Jobs of a queue that no worker of the first version reads. */
const OF_A_NEW_QUEUE = /^\|webhook\./;
/**
 * May come to have more values: a process that does not know one leaves such a render alone, as `record_unreadable`, and
 * its jobs are of a format of their own.
 */
const MAY_GROW = '.request.output';
const valuesOf = (field = '{}') => (JSON.parse(field) as { enum?: string[] }).enum ?? [];
const HELP =
  'Processes of two versions run side by side. Add a field as optional, and let its absence mean what it did';

/** Whether the first part of a path that the first version did not have may be absent. */
function isNewAndOptional(field: string, before: readonly string[]): boolean {
  const steps = field.split('.');
  const isNew = (length: number) => {
    const place = steps.slice(0, length).join('.');
    return !before.some((known) => known === place || known.startsWith(`${place}.`) || known.startsWith(`${place}[`));
  };
  const length = steps.findIndex((_, index) => isNew(index + 1)) + 1;
  return length > 0 && (steps[length - 1] ?? '').includes('?');
}

describe('the formats between processes', () => {
  for (const [name, schema] of Object.entries(NOW)) {
    it(`of version one can be read, and can be read by it: ${name}`, () => {
      const before: Record<string, string> = first[name as keyof typeof first];
      const now = fieldsOf(schema);
      const changed = Object.keys({ ...before, ...now })
        .filter(
          (field) => !READ_WITH_PATIENCE.test(field) && !OF_A_NEW_QUEUE.test(field) && before[field] !== now[field],
        )
        .filter((field) => !isNewAndOptional(field, Object.keys(before)))
        .filter(
          (field) =>
            field !== MAY_GROW || !valuesOf(before[field]).every((value) => valuesOf(now[field]).includes(value)),
        );
      assert.deepEqual(changed, [], `${HELP}, or raise JOB_FORMAT for a job.`);
    });
  }

  it('have errors that an older reader knows, and codes that a newer writer made up', () => {
    const report = { code: 'farm_mismatch', message: 'two farms', remedy: 'choose' } as const;
    assert.equal(toStoredError(report).code, 'internal');
    assert.deepEqual(storedErrorSchema.parse(toStoredError(report)), report);
    const newer = { code: 'internal', exactCode: 'of_next_year', message: 'what', remedy: 'so' };
    assert.deepEqual(storedErrorSchema.parse(newer), { code: 'internal', message: 'of_next_year: what', remedy: 'so' });
    assert.equal(storedErrorSchema.parse({ ...newer, code: 'of_next_year', exactCode: undefined }).code, 'internal');
  });
});

const server = await startRedisServer();

it('a field that is new and required, or that has gone, shows as a change of format', () => {
  const known = ['.plan?.frameCount', '.gpus[]', '.name'];
  assert.equal(isNewAndOptional('.plan?.colour', known), false);
  assert.equal(isNewAndOptional('.plan?.colour?', known), true);
  assert.equal(isNewAndOptional('.moved?.times', known), true);
  assert.equal(isNewAndOptional('.plan?.frameCount', known), false);
});

describe('what a newer version wrote', () => {
  it('is a job: it is left to a worker that knows it, and costs no attempt', async () => {
    const connection = await server.connect();
    const queues = new QueueClients(connection);
    const queue = queues.media('media');
    const done: string[] = [];
    const handler = async (job: Job) => {
      if ('renderId' in job) done.push(job.renderId);
      return 'done';
    };
    const options = { queue, connection, log: SILENT_LOGGER, onLost: async () => {} };
    const consumer = new Consumer({ ...options, handlers: { prepare: handler, stitch: handler } });
    const newer = { name: 'prepare', renderId: 'r0-a', format: 7, colour: 'red' } as const;
    const known = { name: 'prepare', renderId: 'r0-b', format: 6, colour: 'red' } as const;
    await queue.add('prepare', newer, jobOptions(newer, 1));
    await queue.add('prepare', known, jobOptions(known, 1));
    await until('the newer one waits again', async () => (await queue.getDelayedCount()) === 1);
    await until('the other is done', () => done.length === 1);
    const [waiting] = await queue.getDelayed();
    assert.deepEqual([done, waiting?.data, waiting?.attemptsMade], [['r0-b'], newer, 0]);
    await consumer.drain(1000);
    await queues.close();
  });

  it('is a heartbeat: its worker still counts as one that lives', async () => {
    const redis = await server.connect();
    const beating = startHeartbeat(redis, 'newer', () => ({ shape: 'new' }) as never, {
      warn: () => {},
      info: () => {},
    });
    await beating.first;
    assert.deepEqual(await readHeartbeats(redis), []);
    assert.deepEqual(await redis.smembers(`${KEY_PREFIX}:workers`), ['newer']);
    await beating.stop();
  });
});
