import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type EndedRender, type Facts, findLeftovers, type RenderFolder } from '../../shared/retention/leftover.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const GB = 2 ** 30;
const RULES = { completed_days: 0, failed_days: 30, max_stored_gb: 0, orphan_hours: 24 };

const folder = (name: string, quietMs: number, bytes = 10, ...parts: string[]): RenderFolder => ({
  name,
  quietMs,
  bytes,
  parts: parts.map((part) => ({ name: part, bytes, quietMs })),
});
const result = (name: string, quietMs: number, bytes = 10) => folder(name, quietMs, bytes, 'receipt.json', 'video.mp4');
const ended = (renderId: string, status: EndedRender['status'], endedAgoMs: number): EndedRender => ({
  renderId,
  status,
  endedAgoMs,
});

function goes(facts: Partial<Facts>, rules: Partial<typeof RULES> = {}): string[] {
  const all = { ended: [], folders: [], recorded: new Set<string>(), ...facts };
  const recorded = new Set([...all.recorded, ...all.ended.map(({ renderId }) => renderId)]);
  return findLeftovers({ ...all, recorded }, { ...RULES, ...rules }).map(({ kind, id }) => `${kind} ${id}`);
}

describe('what has expired', () => {
  it('is nothing that is completed, by default', () => {
    const facts = { ended: [ended('a', 'completed', 9999 * DAY)], folders: [result('a', 9999 * DAY)] };
    assert.deepEqual(goes(facts), []);
    assert.deepEqual(goes(facts, { completed_days: 9998 }), ['render a']);
  });

  it('is what failed or was cancelled long ago', () => {
    const facts = {
      ended: [ended('a', 'failed', 31 * DAY), ended('b', 'cancelled', 31 * DAY), ended('c', 'failed', 29 * DAY)],
    };
    assert.deepEqual(goes(facts), ['render a', 'render b']);
    assert.deepEqual(goes(facts, { failed_days: 0 }), []);
  });

  it('is never of a render that has a record and no known end, nor of one that ends in the future', () => {
    const folders = [folder('a', 999 * DAY, 10, 'upload'), result('b', 999 * DAY)];
    assert.deepEqual(goes({ folders, recorded: new Set(['a', 'b']) }, { completed_days: 1, max_stored_gb: 1e-12 }), []);
    const skewed = { ended: [ended('b', 'failed', -5 * 60_000)], folders: [folder('b', -5 * 60_000, 10, '.half')] };
    assert.deepEqual(goes(skewed, { failed_days: 1e-9 }), []);
  });

  it('is files without a record, once nobody has touched them for so long', () => {
    const folders = [folder('a', 25 * HOUR, 10, '.upload.x'), folder('b', 23 * HOUR, 10, '.upload.x')];
    assert.deepEqual(goes({ folders }), ['files a']);
    assert.deepEqual(goes({ folders }, { orphan_hours: 0 }), []);
  });

  it('is a result without a record only where completed renders expire: Redis may have lost the record', () => {
    const folders = [result('a', 40 * DAY)];
    assert.deepEqual(goes({ folders }), []);
    assert.deepEqual(goes({ folders }, { completed_days: 39 }), ['files a']);
    assert.deepEqual(goes({ folders: [result('.a.aside', 40 * DAY)] }), ['files .a.aside']);
    const removedHalfway = folder('a', 2 * DAY, 10, 'receipt.json', 'video.mp4', '.unwanted');
    assert.deepEqual(goes({ folders: [removedHalfway] }), ['files a']);
  });

  it('is a completed render whose files are gone, unless all files are', () => {
    const facts = { ended: [ended('a', 'completed', 2 * DAY), ended('b', 'completed', DAY / 2)] };
    assert.deepEqual(goes({ ...facts, folders: [result('c', 0)] }), ['render a']);
    assert.deepEqual(goes(facts), [], 'the store may not be mounted');
  });

  it('is what a render that is kept needs no more', () => {
    const parts = ['receipt.json', 'video.mp4', '.video.x.mp4', 'segments', 'audio.f32'];
    const facts = (status: EndedRender['status'], quietMs: number) => ({
      ended: [ended('a', status, 2 * DAY)],
      folders: [folder('a', quietMs, 10, ...parts)],
    });
    assert.deepEqual(goes(facts('completed', 2 * DAY)), ['part a/.video.x.mp4', 'part a/segments', 'part a/audio.f32']);
    assert.deepEqual(goes(facts('failed', 2 * DAY)), ['part a/.video.x.mp4'], 'it may be tried again');
    assert.deepEqual(goes(facts('cancelled', 2 * DAY)), ['cancelled-files a']);
    assert.deepEqual(goes(facts('completed', HOUR)), []);
  });

  it('is the oldest that has ended, until the rest is small enough', () => {
    const facts = {
      ended: [ended('old', 'completed', 3 * DAY), ended('new', 'completed', HOUR), ended('bad', 'failed', 4 * DAY)],
      folders: [result('old', 0, GB), result('new', 0, GB), folder('bad', 0, GB, 'upload'), folder('runs', 0, GB)],
      recorded: new Set(['runs']),
    };
    assert.deepEqual(goes(facts, { max_stored_gb: 2 }), ['render bad', 'render old']);
    assert.deepEqual(goes(facts, { max_stored_gb: 4 }), []);
    assert.deepEqual(goes(facts, { max_stored_gb: 0.5 }), ['render bad', 'render old', 'render new']);
  });
});
