/** Videos as telephones, cameras and editors make them, and the pictures that are taken out of them. */

import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import sharp from 'sharp';
import { type ExtractOptions, extractFrames } from '../../worker/avatar/extract-frames.ts';
import { readyFrameFolder } from '../../worker/avatar/frame-folder.ts';
import { ffmpeg, lavfi } from '../media/media-files.ts';
import { openWorkspace } from '../models/workspace.ts';
import { placesIn, QUARTER_TURN, showTurned, type Turn, upTo, writeVideo } from './videos.ts';

const GOING_ON = new AbortController().signal;
const COLOURS = { R: [0xdc, 0x14, 0x14], G: [0x14, 0xc8, 0x14], B: [0x14, 0x14, 0xdc], W: [0xe0, 0xe0, 0xe0] } as const;
/** Red and green above blue and white. */
const QUARTERS = [
  'color=0xDC1414:s=64x48:r=25,drawbox=32:0:32:24:0x14C814:fill,drawbox=0:24:32:24:0x1414DC:fill',
  'drawbox=32:24:32:24:0xE0E0E0:fill,format=gbrp',
].join();
const H264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-crf', '1'];

interface FirstPicture {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  /** Of the middles of the four quarters, from the top left to the bottom right. */
  readonly quarters: readonly (readonly number[])[];
  readonly data: Uint8Array;
}

/** Takes the pictures out of a video that ffmpeg makes, and looks at the first. */
async function firstOf(
  t: TestContext,
  name: string,
  made: readonly string[],
  options: ExtractOptions = {},
): Promise<FirstPicture> {
  const { folder } = await openWorkspace(t);
  await ffmpeg(...made, join(folder, name));
  return await firstIn(join(folder, name), options);
}

async function firstIn(video: string, options: ExtractOptions = {}): Promise<FirstPicture> {
  const target = `${video}-frames`;
  await rm(target, { recursive: true, force: true });
  await extractFrames(video, target, options, GOING_ON);
  const [first = ''] = (await readdir(target)).sort();
  const { data, info } = await sharp(join(target, first)).raw().toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  const at = (x: number, y: number) => (Math.floor((y * height) / 4) * width + Math.floor((x * width) / 4)) * channels;
  const quarters = [1, 3].flatMap((y) => [1, 3].map((x) => [...data.subarray(at(x, y), at(x, y) + channels)]));
  return { name: first, width, height, quarters, data };
}

/** The colours of the quarters, each within a few steps of what was drawn. */
function seen({ quarters }: FirstPicture): string {
  const isNear = (pixel: readonly number[], colour: readonly number[]) =>
    colour.every((value, band) => Math.abs(value - (pixel[band] ?? 0)) <= 4);
  const nameOf = (pixel: readonly number[]) =>
    Object.entries(COLOURS).find(([, colour]) => isNear(pixel, colour))?.[0] ?? `(${pixel})`;
  return quarters.map(nameOf).join('');
}

const drawn = (filter: string, ...coding: string[]) => [
  ...lavfi(QUARTERS),
  ...['-frames:v', '2', '-vf', filter],
  ...coding,
];
const tagged = (matrix: string, range = 'tv') => [
  ...['-colorspace', matrix, '-color_primaries', matrix, '-color_trc', matrix, '-color_range', range],
];

test('pictures are upright in a video that says it is to be turned or mirrored', async (t) => {
  const { folder } = await openWorkspace(t);
  const video = join(folder, 'side.mp4');
  const filter = 'scale=out_color_matrix=bt709:out_range=tv,format=yuv444p';
  await ffmpeg(...drawn(filter, ...H264, ...tagged('bt709')), video);
  const turns: [turn: Turn, expected: string][] = [
    [[-1, 0, 0, -1], 'WBGR'],
    [[-1, 0, 0, 1], 'GRWB'],
    [[0, 1, 1, 0], 'RBGW'],
  ];
  for (const [turn, expected] of turns) {
    await showTurned(video, turn);
    const picture = await firstIn(video);
    assert.equal(seen(picture), expected, `${turn}`);
    assert.equal(picture.width, turn[0] === 0 ? 48 : 64);
  }
});

test('colours are those that the tags say, or that players take a video without tags for', async (t) => {
  const filter = (matrix: string, range: string) =>
    `scale=out_color_matrix=${matrix}:out_range=${range},format=yuv444p`;
  const hd = 'scale=1280:720:flags=neighbor:out_color_matrix=bt709:out_range=tv,format=yuv420p';
  const variants: readonly (readonly [name: string, made: string[]])[] = [
    ['BT.601', drawn(filter('bt601', 'tv'), ...H264, ...tagged('smpte170m'))],
    ['full range', drawn(filter('bt709', 'pc'), ...H264, ...tagged('bt709', 'pc'))],
    ['large without tags', drawn(hd, ...H264)],
  ];
  for (const [name, made] of variants) assert.equal(seen(await firstOf(t, 'tags.mp4', made)), 'RGBW', name);
});

test('ten bits and odd sides are no obstacle', async (t) => {
  const filter = 'crop=63:47,scale=out_color_matrix=bt709:out_range=tv,format=yuv420p10le';
  const picture = await firstOf(t, 'odd.mkv', drawn(filter, '-c:v', 'ffv1', ...tagged('bt709')));
  assert.deepEqual([picture.width, picture.height, seen(picture)], [63, 47, 'RGBW']);
});

/** A grey of HDR, by its code of ten bits. */
const hdr = (code: number, transfer: string, format = 'yuv420p10le') => [
  ...lavfi(`color=black:s=64x48:r=25,format=${format},geq=lum=${code}:cb=512:cr=512`),
  ...['-frames:v', '1', '-c:v', 'ffv1', '-colorspace', 'bt2020nc', '-color_primaries', 'bt2020'],
  ...['-color_trc', transfer, '-color_range', 'tv'],
];

test('HDR comes out as bright as usual video: paper is nearly white, and grey stays grey', async (t) => {
  // ITU-R BT.2408: paper white is 75 % of HLG, a grey card 38 % of PQ.
  for (const [transfer, code, expected] of [
    ['arib-std-b67', 721, 228],
    ['smpte2084', 397, 108],
  ] as const) {
    const { quarters } = await firstOf(t, 'hdr.mkv', hdr(code, transfer));
    for (const value of quarters[0] ?? []) assert.ok(Math.abs(value - expected) <= 3, `${transfer} ${code}: ${value}`);
  }
});

test('HDR that stays as it is is named', async (t) => {
  const notes: string[] = [];
  const made = hdr(721, 'arib-std-b67', 'yuva420p10le');
  await firstOf(t, 'both.mkv', made, { note: (text) => notes.push(text) });
  assert.match(notes.join(), /both\.mkv is HLG, and its colours stay pale: it has alpha; export it as SDR/);
});

test('the two fields of an interlaced video are not mixed', async (t) => {
  const bar = "nullsrc=s=64x48:r=50,geq=lum='if(between(mod(X-8*N\\,64)\\,0\\,15)\\,235\\,16)':cb=128:cr=128";
  const weave = 'format=yuv420p,tinterlace=interleave_top,setfield=tff';
  const coding = ['-c:v', 'mpeg2video', '-q:v', '2', '-flags', '+ildct+ilme', '-top', '1'];
  const made = [...lavfi(bar), '-frames:v', '4', '-vf', weave, ...coding];
  const { data, width, height } = await firstOf(t, 'fields.mpg', made);
  // The bar stands upright, so rows of one moment are alike.
  let difference = 0;
  for (let at = 0; at < width * (height - 1) * 3; at++) {
    difference += Math.abs((data[at] ?? 0) - (data[at + width * 3] ?? 0));
  }
  assert.ok(difference / data.length < 6, `${difference / data.length}`);
  const { folder } = await openWorkspace(t);
  const video = join(folder, 'fields.mp4');
  const sideways = ['-c:v', 'libx264', '-preset', 'ultrafast', '-flags', '+ildct+ilme', '-x264opts', 'tff=1'];
  await ffmpeg(...lavfi(bar), '-frames:v', '4', '-vf', weave, ...sideways, video);
  await showTurned(video, QUARTER_TURN);
  const message = /fields\.mp4 cannot be used: it is interlaced and to be turned by 90°; export it progressive/;
  await assert.rejects(firstIn(video), { code: 'model_unusable', message });
});

test('alpha stays with the pictures, whatever they were to be', async (t) => {
  const half = "color=0xDC1414:s=64x48:r=25,format=rgba,geq=r=220:g=20:b=20:a='if(lt(X\\,32)\\,0\\,255)'";
  for (const [name, coding] of [
    ['clear.mov', ['-c:v', 'qtrle']],
    ['clear.webm', ['-c:v', 'libvpx-vp9', '-pix_fmt', 'yuva420p']],
  ] as const) {
    const picture = await firstOf(t, name, [...lavfi(half), '-frames:v', '2', ...coding], { format: 'jpg' });
    assert.equal(picture.name, 'frame_000000.png');
    assert.deepEqual(
      picture.quarters.map((pixel) => pixel[3]),
      [0, 255, 0, 255],
      name,
    );
  }
});

test('a sound with a cover is no video', async (t) => {
  const cover = ['-map', '0', '-map', '1', '-c:v', 'png', '-disposition:v', 'attached_pic', '-t', '1'];
  const made = [...lavfi('sine=duration=1'), ...lavfi('color=red:s=16x16:d=0.04'), ...cover];
  await assert.rejects(firstOf(t, 'song.m4a', made), { code: 'model_unusable', message: /song\.m4a has no picture/ });
});

test('a video of uneven times, or of another rate than the avatar, keeps its speed', async (t) => {
  const { folder } = await openWorkspace(t);
  const whole = await writeVideo(join(folder, 'whole.mp4'), { frames: 30, rate: 30 });
  const uneven = join(folder, 'uneven.mp4');
  await ffmpeg('-i', whole, '-vf', "select='not(mod(n,3))+gt(n,20)'", '-vsync', 'vfr', ...H264, '-qp', '0', uneven);
  for (const [rate, video] of [
    [25, uneven],
    [20, whole],
  ] as const) {
    const target = join(folder, `${rate}-${video === whole ? 'whole' : 'uneven'}`);
    assert.equal(await extractFrames(video, target, { rate }, GOING_ON), rate);
    const places = await placesIn(target);
    for (const [index, place] of places.entries()) {
      assert.ok(Math.abs(place - (index * 30) / rate) <= 3, `${rate} a second: ${places}`);
    }
  }
});

test('rects that were made for the pictures of another rate are told by both rates', async (t) => {
  const { folder } = await openWorkspace(t);
  const video = await writeVideo(join(folder, 'ann.mp4'), { frames: 30, rate: 30 });
  const source = { folder: join(folder, 'frames'), video, frameLimit: undefined, format: 'jpg' } as const;
  for (const [frames, rate, message] of [
    [29, 25, /has 25 pictures at 25 a second, for 29 rects: .*the video itself has 30 pictures a second/],
    [12, 20, /has 20 pictures at 20 a second, for 12 rects: the video itself has 30 pictures a second/],
  ] as const) {
    const needed = { frames, for: `${frames} rects`, exactly: true };
    await assert.rejects(readyFrameFolder({ ...source, rate, needed }, GOING_ON), { code: 'model_unusable', message });
  }
  assert.deepEqual(await readdir(folder), ['ann.mp4']);
});

test('a video that has as many pictures as there are rects gives each of them once, at any rate', async (t) => {
  const { folder } = await openWorkspace(t);
  const even = await writeVideo(join(folder, 'even.mp4'), { frames: 12, rate: 24_000 / 1001 });
  const uneven = join(folder, 'uneven.mkv');
  await ffmpeg('-i', even, '-vf', 'select=mod(n\\,3)', '-vsync', 'passthrough', ...H264, '-qp', '0', uneven);
  for (const [video, places] of [
    [even, upTo(12)],
    [uneven, upTo(12).filter((place) => place % 3 !== 0)],
  ] as const) {
    const notes: string[] = [];
    const options = { expected: places.length, note: (text: string) => notes.push(text) };
    await extractFrames(video, `${video}-frames`, options, GOING_ON);
    assert.deepEqual(await placesIn(`${video}-frames`), places, video);
    assert.match(
      notes.join(),
      /plays at another speed, as each of its pictures has a rect: its [\d.]+ pictures a second/,
    );
  }
});
