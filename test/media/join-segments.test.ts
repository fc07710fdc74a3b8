import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinCommand, segmentList, soundtrackSamples } from '../../worker/media/join-segments.ts';

const FRAME = 48_000 / 25;
const PACKET = 1024;

test('all AAC packets, priming and padding among them, end within one frame of the picture', () => {
  for (let frameCount = 1; frameCount <= 3000; frameCount++) {
    const picture = frameCount * FRAME;
    const samples = soundtrackSamples(frameCount);
    const packets = (Math.ceil(samples / PACKET) + 1) * PACKET;
    assert.ok(packets - picture <= FRAME, `${frameCount} frames: the packets are ${packets - picture} samples longer`);
    assert.ok(packets >= picture, `${frameCount} frames: the packets are ${picture - packets} samples shorter`);
    assert.ok(samples <= picture && picture - samples < 128, `${frameCount} frames: ${samples} samples of sound`);
  }
});

test('the list names the segments in their order, one a line', () => {
  assert.equal(segmentList(['000000.mp4', '000001.mp4']), 'ffconcat version 1.0\nfile 000000.mp4\nfile 000001.mp4\n');
});

test('joining copies the picture, and reads nothing outside the list and the upload', () => {
  const { inputs, outputOptions, outputPath } = joinCommand('/s/all.ffconcat', '/s/upload', 50, '/s/video.mp4');
  assert.deepEqual(
    inputs.map(({ source }) => source),
    ['/s/all.ffconcat', '/s/upload'],
  );
  const [list, upload] = inputs.map(({ options }) => options.join(' '));
  assert.match(list ?? '', /-f concat -safe 1$/);
  assert.match(upload ?? '', /-format_whitelist \S*wav\S* -protocol_whitelist file$/);
  assert.match(outputOptions.join(' '), /-map 0:v:0 -map 1:a:0 -c:v copy /);
  assert.match(outputOptions.join(' '), /-map_metadata -1 /);
  assert.equal(outputPath, '/s/video.mp4');
});
