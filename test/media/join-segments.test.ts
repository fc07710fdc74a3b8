import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinCommand, segmentList } from '../../worker/media/join-segments.ts';
import { soundtrackCommand, soundtrackSamples } from '../../worker/media/soundtrack.ts';

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

const SOUND = { path: '/s/sound.s16', sampleRateHz: 44_100, storedChannels: 2, channels: 2, gain: 1 };

test('joining copies picture and sound, and reads nothing outside the list and the sound', () => {
  const { inputs, outputOptions, outputPath } = joinCommand('/s/all.ffconcat', '/s/sound.mp4', '/s/video.mp4');
  assert.deepEqual(
    inputs.map(({ source }) => source),
    ['/s/all.ffconcat', '/s/sound.mp4'],
  );
  const [list, sound] = inputs.map(({ options }) => options.join(' '));
  assert.match(list ?? '', /-f concat -safe 1$/);
  assert.equal(sound, '-f mov');
  assert.match(outputOptions.join(' '), /-map 0:v:0 -map 1:a:0 -c copy /);
  assert.match(outputOptions.join(' '), /-map_metadata -1 /);
  assert.equal(outputPath, '/s/video.mp4');
});

test('the sound is read as the plan says', () => {
  const [input] = soundtrackCommand(SOUND, { start: 0, end: 50 }, '/s/sound.mp4').inputs;
  assert.deepEqual(input, { source: '/s/sound.s16', options: '-nostdin -f s16le -ar 44100 -ac 2'.split(' ') });
});

test('sound is brought back to its loudness, and to one channel when both are the same', () => {
  const filterOf = (changes: Partial<typeof SOUND>) => {
    const { outputOptions } = soundtrackCommand({ ...SOUND, ...changes }, { start: 0, end: 1 }, '/s/sound.mp4');
    return outputOptions[outputOptions.indexOf('-af') + 1];
  };
  assert.equal(filterOf({}), 'aresample=48000,apad,atrim=end_sample=1920');
  assert.match(filterOf({ gain: 2 }) ?? '', /^aformat=sample_fmts=fltp,volume=2:precision=float,/);
  assert.match(filterOf({ channels: 1 }) ?? '', /^pan=mono\|c0=c0,/);
});

test('a narrow sound gets no bits for what it does not hold, a full one as many as before', () => {
  const aacOf = (changes: Partial<typeof SOUND>) => {
    const { outputOptions } = soundtrackCommand({ ...SOUND, ...changes }, { start: 0, end: 1 }, '/s/sound.mp4');
    const from = outputOptions.indexOf('-b:a');
    return outputOptions.slice(from, outputOptions.indexOf('-map_metadata')).join(' ');
  };
  assert.equal(aacOf({}), '-b:a 160000');
  assert.equal(aacOf({ sampleRateHz: 48_000, channels: 1 }), '-b:a 160000');
  assert.equal(aacOf({ sampleRateHz: 24_000, channels: 1 }), '-b:a 144000 -cutoff 12000');
  assert.equal(aacOf({ sampleRateHz: 16_000, channels: 2 }), '-b:a 160000 -cutoff 8000');
  assert.equal(aacOf({ sampleRateHz: 16_000, channels: 1 }), '-b:a 96000 -cutoff 8000');
  assert.equal(aacOf({ sampleRateHz: 8000, channels: 1 }), '-b:a 96000 -cutoff 4000');
  // A call of two, one on each side.
  assert.equal(aacOf({ sampleRateHz: 8000, channels: 2 }), '-b:a 160000 -cutoff 4000');
});
