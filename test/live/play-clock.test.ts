import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PlayClock } from '../../api/live/play-clock.ts';

describe('the clock of sound that is played as it comes', () => {
  it('plays a piece when it arrives, and the next one right after it', () => {
    const clock = new PlayClock(1000);
    clock.arrive(100, 1050);
    clock.arrive(100, 1080);
    assert.equal(clock.untilMs, 1250);
    assert.deepEqual(
      [0, 99, 100, 200].map((position) => clock.heardAtMs(position)),
      [1050, 1149, 1150, 1250],
    );
  });

  it('goes on later after a pause', () => {
    const clock = new PlayClock(0);
    clock.arrive(100, 0);
    clock.arrive(100, 500);
    assert.equal(clock.heardAtMs(99), 99);
    assert.equal(clock.heardAtMs(100), 500);
    assert.equal(clock.untilMs, 600);
  });

  it('fills a pause with sound whose time has passed', () => {
    const clock = new PlayClock(0);
    clock.arrive(100, 0);
    clock.continueFor(400);
    clock.arrive(100, 480);
    assert.equal(clock.heardAtMs(500), 500);
    assert.equal(clock.untilMs, 600);
  });

  it('knows moments that have not come yet', () => {
    const clock = new PlayClock(0);
    clock.arrive(100, 20);
    assert.equal(clock.heardAtMs(300), 320);
  });
});
