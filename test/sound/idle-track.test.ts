import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { IdleTrack, idleFrom, NOT_IDLE, passIdle } from '../../shared/sound/idle-track.ts';

/** Two long pauses, and one of a frame between two voices. */
const VOICES = '4432100000000000123404440000000000000123444';
const AMOUNTS = '0000000012344444321000000001234444444321000';
const AFTER = 3;

describe('where an idle clip is seen', () => {
  const { frames } = passIdle(NOT_IDLE, VOICES, AFTER);

  it('is from a while after the beginning of a silence to the voice, fading in and out in three frames', () => {
    assert.equal(frames.amounts, AMOUNTS);
    assert.equal(frames.place, 0);
  });

  it('is the same in whatever pieces the frames come', () => {
    for (let cut = 0; cut <= VOICES.length; cut++) {
      const first = passIdle(NOT_IDLE, VOICES.slice(0, cut), AFTER);
      const second = passIdle(first.after, VOICES.slice(cut), AFTER);
      assert.equal(first.frames.amounts + second.frames.amounts, AMOUNTS);
      const [whole, part] = [new IdleTrack(frames), new IdleTrack(second.frames, cut)];
      const rest = new IdleTrack(idleFrom(frames, cut), cut);
      for (let frame = cut; frame < VOICES.length; frame++) {
        assert.deepEqual(part.at(frame), whole.at(frame), `frame ${frame} after a cut at ${cut}`);
        assert.deepEqual(rest.at(frame), whole.at(frame), `frame ${frame} of the rest from ${cut}`);
      }
    }
  });

  it('begins anew each time', () => {
    const track = new IdleTrack(frames);
    assert.deepEqual(track.at(7), undefined);
    assert.deepEqual(track.at(8), { place: 0, amount: 1 });
    assert.deepEqual(track.at(18), { place: 10, amount: 1 });
    assert.deepEqual(track.at(27), { place: 0, amount: 1 });
    assert.throws(() => track.at(VOICES.length), RangeError);
  });
});
