import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ANYBODY, type Caller } from '../../api/access/caller.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { hasAllFacets, repairFacets } from '../../shared/renders/facet-repair.ts';
import { labelKey, statusKey } from '../../shared/renders/facets.ts';
import { INDEX_KEY, recordKey } from '../../shared/renders/keys.ts';
import { listIds } from '../../shared/renders/render-list.ts';
import type { RenderPage } from '../../shared/views/render-view.ts';
import { startApi } from '../support/api.ts';
import { SAMPLE_REQUEST } from '../support/sample-render.ts';

/** Labels, and the list with its filters; what a page of it costs Redis is compared with that of one without filters. */

const { app, services, store, renderIn } = await startApi();
const { redis, renders } = services;

const page = async (query: string) => {
  const answer = await app.inject({ url: `/v1/renders?${query}` });
  assert.equal(answer.statusCode, 200, answer.payload);
  return answer.json<RenderPage>();
};
const idsOf = ({ renders: found }: RenderPage) => found.map(({ id }) => id);
const faultOf = async (query: string) => (await app.inject({ url: `/v1/renders?${query}` })).json().error.message;

async function submit(labels: string) {
  const field = (name: string, value: string, file = '') =>
    `--x\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${value}\r\n`;
  return await app.inject({
    ...{ method: 'POST', url: '/v1/renders', headers: { 'content-type': 'multipart/form-data; boundary=x' } },
    payload: `${field('labels', labels)}${field('audio', 'sound', '; filename="a.wav"')}--x--\r\n`,
  });
}

/** What Redis was asked for, and the bytes it answered with. */
async function costOf(work: () => Promise<unknown>): Promise<{ commands: number; bytes: number }> {
  const read = async () => {
    const info = await redis.info('stats');
    const field = (name: string) => Number(new RegExp(`${name}:(\\d+)`).exec(info)?.[1]);
    return { commands: field('total_commands_processed'), bytes: field('total_net_output_bytes'), own: info.length };
  };
  const before = await read();
  await work();
  const after = await read();
  return { commands: after.commands - before.commands, bytes: after.bytes - before.bytes - before.own };
}

/** Straight into Redis, as processes of a version without filters write. */
async function addOld(count: number, status: string, from = 0, modelId = 'ann'): Promise<void> {
  const added = redis.pipeline();
  for (let n = from; n < from + count; n++) {
    const renderId = `r${n.toString(16).padStart(9, '0')}-00`;
    const record = { renderId, status, request: { ...SAMPLE_REQUEST, modelId }, createdAtMs: 1_700_000_000_000 + n };
    const fields = Object.entries(record).flatMap(([name, value]) => [name, JSON.stringify(value)]);
    added.hset(recordKey(renderId), ...fields).zadd(INDEX_KEY, record.createdAtMs, renderId);
  }
  await added.exec();
}

describe('labels', () => {
  it('come back with the render, stay through a retry, and find it', async () => {
    const { id, labels } = (await submit('{"take": "7", "project": "spring = new"}')).json();
    assert.deepEqual(labels, { project: 'spring = new', take: '7' });
    await store.startPreparing(id);
    await store.fail(id, new FarmError('audio_unreadable', 'no sound').toReport());
    await store.retry(id, { all: 1000, own: 0 });
    assert.deepEqual((await renders.get(id, ANYBODY)).labels, labels);
    assert.deepEqual(idsOf(await page('label=project%3Dspring%20%3D%20new&label=take=7&status=queued')), [id]);
    assert.deepEqual(idsOf(await page('label=take=8')), []);
    assert.match(await faultOf('label=take'), /label: .*key=value/);
  });

  it('are refused in any other form', async () => {
    for (const [labels, reason] of [
      ['take 7', /labels: .*expected a JSON object/],
      ['{"take": 7}', /labels.take: .*expected text/],
      ['{"a b": "7"}', /labels.*a key of a label/],
      [JSON.stringify({ take: 'x'.repeat(256) }), /labels.take: .*1 to 255 characters/],
      [JSON.stringify(Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`l${n}`, 'x']))), /16 labels/],
    ] as const) {
      const { statusCode, payload } = await submit(labels);
      assert.equal(statusCode, 400, labels);
      assert.match(JSON.parse(payload).error.message, reason);
    }
  });
});

describe('the filters of the list', () => {
  it('hold together, and with the page after', async () => {
    const [a, b, c] = [
      await renderIn('completed', { modelId: 'ann', labels: { set: '1' } }),
      await renderIn('failed', { modelId: 'ann', labels: { set: '1' } }),
      await renderIn('completed', { modelId: 'bob', labels: { set: '1' } }),
    ];
    // Two of them may have been made in one millisecond.
    const found = async (query: string) => idsOf(await page(query)).sort();
    assert.deepEqual(await found('label=set=1'), [a, b, c].sort());
    assert.deepEqual(await found('label=set=1&model_id=ann'), [a, b].sort());
    assert.deepEqual(await found('label=set=1&model_id=ann&status=completed'), [a]);
    const first = await page('label=set=1&limit=2');
    const second = await page(String(first.next).split('?')[1] ?? '');
    assert.deepEqual([...idsOf(first), ...idsOf(second)], idsOf(await page('label=set=1')));
    assert.equal(second.next, null);
  });

  it('take times, from one on and before another', async () => {
    const id = await renderIn('queued', { labels: { when: 'now' } });
    const { created_at } = await renders.get(id, ANYBODY);
    const after = new Date(Date.parse(created_at) + 1).toISOString();
    assert.deepEqual(idsOf(await page(`label=when=now&created_from=${created_at}&created_to=${after}`)), [id]);
    assert.deepEqual(idsOf(await page(`label=when=now&created_to=${created_at}`)), []);
    assert.deepEqual(idsOf(await page(`label=when=now&created_from=${after}`)), []);
    assert.match(await faultOf('created_from=yesterday'), /created_from: .*expected a time/);
  });

  it('follow a render to its end and away, and find nothing of one that is gone', async () => {
    const id = await renderIn('rendering', { labels: { way: 'whole' } });
    await store.cancel(id);
    assert.deepEqual(idsOf(await page('label=way=whole&status=cancelled')), [id]);
    assert.deepEqual(idsOf(await page('label=way=whole&status=rendering')), []);
    await renders.remove(id, ANYBODY);
    assert.deepEqual(idsOf(await page('label=way=whole')), []);
    assert.equal(await redis.exists(labelKey('way', 'whole')), 0);
  });
});

describe('the search', () => {
  it('finds words in id, file name, model and labels, whatever their case, and of one key only its own', async () => {
    const wanted = { modelId: 'ann', fileName: 'A\u0308rger "live".WAV', labels: { Season: 'Spring sale' } };
    const id = await renderIn('completed', wanted, 'left');
    await renderIn('failed', { modelId: 'ann', fileName: 'other.wav' }, 'right');
    const found = async (text: string, more = '') => idsOf(await page(`search=${encodeURIComponent(text)}${more}`));
    for (const text of [id.slice(2, -2), 'ärger', 'ÄRGER "LIVE"', 'season=SPRING', 'sale .wav ann']) {
      assert.deepEqual(await found(text), [id], text);
    }
    assert.deepEqual(await found('sale ann', '&status=completed&model_id=ann'), [id]);
    for (const text of ['sale other', 'wav ann.', '.*ger', 'springsale']) assert.deepEqual(await found(text), [], text);
    assert.deepEqual(await found('ann', '&status=failed&label=Season=Spring%20sale'), []);
    assert.deepEqual(await found('  '), idsOf(await page('')), 'no word is no filter');
    assert.match(await faultOf(`search=${'x'.repeat(101)}`), /search: /);
    const of = async (owner: string) => {
      const caller: Caller = { ...ANYBODY, keyName: owner, role: 'render' };
      const { renders: own } = await renders.list({ limit: 20, before: undefined, words: ['.wav'] }, caller);
      return own.map((render) => render.owner);
    };
    assert.deepEqual([await of('left'), await of('right')], [['left'], ['right']]);
  });
});

describe('renders of an earlier version', () => {
  it('are found before they are in any set, and afterwards at the cost of a page', async () => {
    await addOld(30, 'completed');
    assert.equal(await hasAllFacets(redis), false);
    assert.equal(idsOf(await page('model_id=ann&created_to=2023-12-01&limit=50')).length, 30);
    await repairFacets(redis);
    assert.equal(await hasAllFacets(redis), true);
    assert.equal(idsOf(await page('model_id=ann&created_to=2023-12-01&limit=50')).length, 30);
    const searched = 'search=R00000001D%20ANN&created_to=2023-12-01';
    assert.deepEqual(idsOf(await page(searched)), ['r00000001d-00'], 'they are searched as well');
  });

  it('that were moved on or removed by one are where they belong again', async () => {
    const [moved, removed] = [await renderIn('rendering'), await renderIn('completed')];
    const ended = redis.multi().hset(recordKey(moved), 'status', '"completed"').srem('{farm}:renders:active', moved);
    await ended.del(recordKey(removed)).zrem(INDEX_KEY, removed).exec();
    await repairFacets(redis);
    assert.equal(await hasAllFacets(redis), true);
    const score = (status: 'completed' | 'rendering', id: string) => redis.zscore(statusKey(status), id);
    assert.ok(await score('completed', moved));
    assert.deepEqual([await score('rendering', moved), await score('completed', removed)], [null, null]);
  });

  it('cost a page with a filter nothing, however many there are', async () => {
    await addOld(50, 'failed', 1000);
    await repairFacets(redis);
    const failed = () => renders.list({ limit: 20, before: undefined, status: 'failed' }, ANYBODY);
    await failed();
    const few = await costOf(failed);
    await addOld(3000, 'completed', 2000);
    await addOld(3000, 'failed', 6000);
    await repairFacets(redis);
    const many = await costOf(failed);
    assert.equal(many.commands, few.commands);
    assert.ok(many.bytes < few.bytes + 200, `${few.bytes} bytes at first, ${many.bytes} with 6000 more`);
    await addOld(1500, 'failed', 10_000, 'eve');
    await repairFacets(redis);
    const both = { status: 'completed', modelId: 'eve' } as const;
    const first = await listIds(redis, 20, undefined, both, 1000);
    assert.deepEqual(first.ids, [], 'a page ends before it has looked at all');
    assert.ok(first.next, 'and says where to go on');
    assert.deepEqual(await listIds(redis, 20, first.next, both, 1000), { ids: [], next: undefined });
    const none = await costOf(() => renders.list({ limit: 20, before: undefined, status: 'cancelled' }, ANYBODY));
    assert.ok(none.bytes < 500, `${none.bytes} bytes to find that no render was cancelled`);
  });
});
