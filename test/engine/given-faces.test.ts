import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import sharp from 'sharp';
import type { ModelConfig } from '../../shared/config/model-config.ts';
import { loadAlone } from '../../worker/models/loaded-model.ts';
import type { RgbImage } from '../../worker/pipeline/contract.ts';
import { renderFrames } from '../../worker/pipeline/render-frames.ts';
import { noTimings } from '../../worker/pipeline/stage-timings.ts';
import { cutCrop, makeCrop } from '../../worker/pipeline/visual-input.ts';
import { photograph } from '../avatar/photograph.ts';
import { writeVideo } from '../avatar/videos.ts';
import { openWorkspace, type Workspace } from '../models/workspace.ts';
import { tinyEncoder, tinyNetwork } from '../onnx/tiny-onnx.ts';
import { modelConfig } from '../support/model-config.ts';
import { NOT_PREPARING } from '../support/preparing.ts';

const SIZE = { width: 240, height: 200 };
const RECTS = [
  [30, 40, 130, 140],
  [33, 41, 133, 141],
  [36, 42, 136, 142],
] as const;
const FRAMES = 4;
const MARGIN = 4;

/** Three photographs of a face and a network that shows what it sees, from visual channel `firstChannel` on. */
async function openModel(t: TestContext, firstChannel = 0): Promise<{ workspace: Workspace; entry: ModelConfig }> {
  const workspace = await openWorkspace(t);
  const { folder, write } = workspace;
  await mkdir(join(folder, 'frames'));
  for (const [index] of RECTS.entries()) await writePng(join(folder, 'frames', `${index}.png`), background(index));
  const entry = modelConfig({
    modelPath: await write('network.onnx', tinyNetwork({ firstChannel, deaf: true })),
    audioEncoderPath: await write('encoder.onnx', tinyEncoder()),
    backgroundDir: join(folder, 'frames'),
    cropRectsPath: await write('rects.json', JSON.stringify(RECTS)),
  });
  return { workspace, entry };
}

function background(index: number): RgbImage {
  return { ...SIZE, data: photograph(SIZE, index) };
}

/** The crop of background `index` as the pipeline cuts it, 168². */
function cropOf(index: number): RgbImage {
  const [x1, y1, x2, y2] = RECTS[index] ?? RECTS[0];
  const crop = makeCrop(160);
  cutCrop(background(index), { x1, y1, x2, y2 }, crop);
  return crop;
}

async function writePng(path: string, { data, width, height }: RgbImage): Promise<void> {
  await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(path);
}

/** A folder with a picture for each background; returns its path. */
async function writeFaces({ folder }: Workspace, name: string, picture: (index: number) => RgbImage): Promise<string> {
  await mkdir(join(folder, name));
  for (const [index] of RECTS.entries()) await writePng(join(folder, name, `frame_000${index}.png`), picture(index));
  return join(folder, name);
}

/** The inner 160² of a crop. */
function innerOf({ data, width }: RgbImage): RgbImage {
  const inner = { width: 160, height: 160, data: new Uint8Array(160 * 160 * 3) };
  for (let y = 0; y < 160; y++) {
    const from = ((y + MARGIN) * width + MARGIN) * 3;
    inner.data.set(data.subarray(from, from + 480), y * 480);
  }
  return inner;
}

function inverted({ data, ...size }: RgbImage): RgbImage {
  return { ...size, data: data.map((value) => 255 - value) };
}

/** The frames of a short silence. */
async function render(t: TestContext, entry: ModelConfig): Promise<RgbImage[]> {
  const settings = {
    providers: ['cpu'],
    threads: { intraOp: 1, interOp: 1 },
    cachedFrames: 3,
    preparing: NOT_PREPARING,
  };
  const model = await loadAlone({ entry, ...settings });
  t.after(() => model.release());
  const sampleCount = FRAMES * 640;
  const audio = { sampleCount, read: async ({ start = 0, end = 0 }) => new Float32Array(end - start) };
  const frames = { start: 0, end: FRAMES };
  const request = { frames, startFrameIndex: 0, totalFrames: FRAMES, batchFrames: 2, encoderBatchWindows: 8 };
  const images: RgbImage[] = [];
  const rendering = renderFrames(request, { ...model, audio }, new AbortController().signal, noTimings());
  for await (const { image } of rendering) images.push(image);
  return images;
}

function assertSame(got: readonly RgbImage[], expected: readonly RgbImage[]): void {
  assert.equal(got.length, FRAMES);
  for (const [index, { data }] of got.entries()) {
    assert.equal(Buffer.compare(data, expected[index]?.data ?? new Uint8Array()), 0, `frame ${index}`);
  }
}

/** How many pixels of two pictures differ. */
function differing(a: RgbImage | undefined, b: RgbImage | undefined): number {
  assert.ok(a && b);
  return a.data.filter((value, at) => value !== b.data[at]).length / 3;
}

for (const [what, shape] of [
  ['crops', (crop: RgbImage) => crop],
  ['the inner part of crops', innerOf],
] as const) {
  test(`${what} as the pipeline cuts them give the same frames, byte for byte`, async (t) => {
    const { workspace, entry } = await openModel(t);
    const cropsDir = await writeFaces(workspace, 'crops', (index) => shape(cropOf(index)));
    assertSame(await render(t, { ...entry, cropsDir }), await render(t, entry));
  });
}

test('other crops are what the network sees, and what its picture is pasted into', async (t) => {
  const { workspace, entry } = await openModel(t);
  const cropsDir = await writeFaces(workspace, 'crops', (index) => inverted(cropOf(index)));
  const [plain, given] = [await render(t, entry), await render(t, { ...entry, cropsDir })];
  // All of the 100² rect, rim included, and nothing outside.
  assert.ok(differing(given[0], plain[0]) > 9900);
  assert.ok(differing(given[0], plain[0]) <= 10_000);
});

test('rois take the place of the picture with the hidden mouth, and the mouth is hidden in them', async (t) => {
  const { workspace, entry } = await openModel(t, 3);
  const roisDir = await writeFaces(workspace, 'rois', (index) => innerOf(cropOf(index)));
  const plain = await render(t, entry);
  assertSame(await render(t, { ...entry, roisDir }), plain);
  const others = await writeFaces(workspace, 'others', (index) => inverted(innerOf(cropOf(index))));
  const [given] = await render(t, { ...entry, roisDir: others });
  const changed = differing(given, plain[0]);
  assert.ok(changed > 500 && changed < 3000, `only the frame around the hidden mouth changes, not ${changed} pixels`);
});

test('faces of another size than the network takes are refused when the model is loaded', async (t) => {
  const { workspace, entry } = await openModel(t);
  const small = await writeFaces(workspace, 'small', () => ({
    width: 96,
    height: 96,
    data: new Uint8Array(96 * 96 * 3),
  }));
  await assert.rejects(render(t, { ...entry, cropsDir: small }), {
    code: 'model_unusable',
    message: /The crop of background 0 is 96x96; a network of 160x160 takes 168x168 or 160x160/,
  });
  const roisDir = await writeFaces(workspace, 'rois', cropOf);
  await assert.rejects(render(t, { ...entry, roisDir }), {
    code: 'model_unusable',
    message: /The roi of background 0 is 168x168; a network of 160x160 takes 160x160/,
  });
});

test('fewer faces than backgrounds are refused with both numbers', async (t) => {
  const { workspace, entry } = await openModel(t);
  await mkdir(join(workspace.folder, 'few'));
  await writePng(join(workspace.folder, 'few', '0.png'), cropOf(0));
  await assert.rejects(render(t, { ...entry, cropsDir: join(workspace.folder, 'few') }), {
    code: 'model_unusable',
    message: /few has 1 crops for 3 background frames/,
  });
});

test('crops are extracted from their video', async (t) => {
  const { workspace, entry } = await openModel(t);
  const cropsVideo = await writeVideo(join(workspace.folder, 'crops.mp4'), { frames: 3, size: '168:168' });
  const frames = await render(t, { ...entry, cropsVideo });
  // Every picture of the video is grey, one step brighter than the one before.
  const [x1, y1] = RECTS[2];
  const at = ((y1 + 50) * SIZE.width + x1 + 50) * 3;
  const [red = 0, green = 0] = frames[2]?.data.subarray(at) ?? [];
  assert.ok(red === green && red > 0 && red < 20, `${red}, ${green}`);
});
