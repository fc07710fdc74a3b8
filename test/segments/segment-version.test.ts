import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import sharp from 'sharp';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import { OUTPUTS, type Output } from '../../shared/renders/outputs.ts';
import { FEATURE_SIZE } from '../../shared/sound/rates.ts';
import { openAvatar } from '../../worker/avatar/avatar.ts';
import { lineInThisThread } from '../../worker/engine/frame-outputs.ts';
import { LastingPools } from '../../worker/engine/memory-pool.ts';
import { renderSegment } from '../../worker/engine/render-segment.ts';
import { Turns } from '../../worker/engine/turns.ts';
import { AUDIO_INPUT_FLOATS, outputFloats } from '../../worker/pipeline/contract.ts';
import { SilentMouths } from '../../worker/pipeline/silent-mouths.ts';
import { PreparedAvatars } from '../../worker/prepared/prepared-avatars.ts';
import { SEGMENT_VERSION } from '../../worker/segments/segment-version.ts';
import { FloatNetwork } from '../pipeline/float-network.ts';
import { modelConfig } from '../support/model-config.ts';
import { standInTools } from '../support/tools.ts';

/**
 * What a small segment of each output was when the version was raised last: the files of frames (of PNG their pixels),
 * and of videos what ffmpeg is given, planes and arguments. Networks are arithmetic of this test, so that neither a
 * processor nor ONNX Runtime, x264 or libvpx is in the hashes.
 */
const VERSION = 1;
const HASHES: Readonly<Record<Output, string>> = {
  mp4: '413beabb8f75dbc7',
  webm: '946b6eacb2fe4a76',
  frames: '61b11d48035421fe',
  'png-frames': '3a259abd4f248a43',
};

const SIZE = 160;
const PICTURE = { width: 64, height: 48 };
const PICTURES = 3;
const FRAMES = 6;
const NEVER = new AbortController().signal;

const folder = await mkdtemp(path.join(tmpdir(), 'farm-version-'));
const tools = await standInTools(path.join(folder, 'bin'));
process.env.PATH = tools.path;
// Its last argument is the file that it is to write.
const args = path.join(folder, 'arguments');
await tools.replace(
  'ffmpeg',
  `for last; do :; done\nfor one; do [ "$one" = "$last" ] || echo "$one"; done >${args}\nexec cat >"$last"`,
);
after(() => rm(folder, { recursive: true, force: true }));
const artifacts = new LocalArtifacts(folder);

/** Its mouths depend on every pixel that it sees and on the middle of what it hears. */
class PlainNetwork extends FloatNetwork {
  readonly size = SIZE;
  readonly framesPerRun = 4;

  async generate(visual: Float32Array, audio: Float32Array, count: number): Promise<Float32Array> {
    const output = new Float32Array(count * outputFloats(SIZE));
    for (let place = 0; place < count; place++) {
      const heard = Math.abs(audio[place * AUDIO_INPUT_FLOATS + AUDIO_INPUT_FLOATS / 2] as number) % 1;
      for (let at = 0; at < outputFloats(SIZE); at++) {
        output[place * outputFloats(SIZE) + at] =
          (visual[place * 2 * outputFloats(SIZE) + at] as number) / 2 + heard / 2;
      }
    }
    return output;
  }
}

const encoder = {
  encode: async (windows: Float32Array, count: number) =>
    Float32Array.from(
      { length: count * FEATURE_SIZE },
      (_, at) => windows[Math.floor(at / FEATURE_SIZE) * 1280 + (at % FEATURE_SIZE)] as number,
    ),
};

/** Pictures with alpha, in a form that keeps every pixel. */
async function openPictures() {
  const place = path.join(folder, 'frames');
  await mkdir(place);
  for (let index = 0; index < PICTURES; index++) {
    const pixels = Buffer.alloc(PICTURE.width * PICTURE.height * 4);
    for (let at = 0; at < pixels.length; at++)
      pixels[at] = at % 4 === 3 ? (at * 3) % 256 : (at * (index + 2) + (at >> 8)) % 256;
    const picture = sharp(pixels, { raw: { ...PICTURE, channels: 4 } }).png();
    await writeFile(path.join(place, `frame_00000${index}.png`), await picture.toBuffer());
  }
  const rects = path.join(folder, 'rects.json');
  await writeFile(rects, JSON.stringify(Array(PICTURES).fill([8, 4, 48, 44])));
  const avatar = await openAvatar(modelConfig({ backgroundDir: place, cropRectsPath: rects, blend: 'feather' }));
  const settings = { folder: path.join(folder, 'prepared'), quality: 75, processes: 0, keepsPlanes: false };
  const { pictures } = await new PreparedAvatars(settings, 1).open('ann', avatar, SIZE);
  return { avatar, prepared: pictures };
}

/** The sound is a sum of waves, and one frame in silence is gated. */
async function writeSound(renderId: string): Promise<void> {
  const samples = Float32Array.from({ length: FRAMES * 640 }, (_, at) => 0.3 * ((((at * at) % 401) - 200) / 200));
  await artifacts.put(artifactKeys.samples(renderId), new Uint8Array(samples.buffer));
  await artifacts.put(artifactKeys.voices(renderId), '444310');
}

async function hashOf(output: Output, model: Awaited<ReturnType<typeof openPictures>>): Promise<string> {
  await writeSound(output);
  const network = new PlainNetwork();
  const settings =
    output === 'mp4' || output === 'webm'
      ? { kind: output, crf: 20, preset: 'veryfast' }
      : { kind: output, jpegQuality: 75 };
  const task = {
    ...{ renderId: output, segmentIndex: 0, modelId: 'ann', frames: { start: 0, end: FRAMES }, startFrameIndex: 1 },
    ...{ totalFrames: FRAMES, batchFrames: 4, encoderBatchWindows: 8, gated: true, output: settings },
  };
  await renderSegment(
    1,
    task as Parameters<typeof renderSegment>[1],
    {
      ...{ ...model, network, encoder, silentMouths: new SilentMouths({ network, encoder, pictures: model.prepared }) },
      ...{ idle: undefined, files: [], content: undefined },
      provider: { provider: 'cpu' } as Parameters<typeof renderSegment>[2]['provider'],
    },
    { artifacts, line: lineInThisThread(artifacts), turns: new Turns(), pools: new LastingPools(), signal: NEVER },
  );
  const hash = createHash('sha256');
  for (const file of await filesOf(output)) hash.update(file);
  return hash.digest('hex').slice(0, 16);
}

async function filesOf(output: Output): Promise<Buffer[]> {
  if (output === 'mp4' || output === 'webm') {
    return [await readFile(artifacts.localPath(artifactKeys.segmentVideo(output, 0, output))), await readFile(args)];
  }
  const place = path.dirname(artifacts.localPath(artifactKeys.frame(output, 0, output)));
  const files = await Promise.all((await readdir(place)).sort().map((name) => readFile(path.join(place, name))));
  return output === 'frames' ? files : await Promise.all(files.map((file) => sharp(file).raw().toBuffer()));
}

test('what the pipeline makes has not changed since SEGMENT_VERSION was raised', async () => {
  const model = await openPictures();
  const hashes: Partial<Record<Output, string>> = {};
  for (const output of OUTPUTS) hashes[output] = await hashOf(output, model);
  assert.equal(new Set(Object.values(hashes)).size, OUTPUTS.length);
  assert.deepEqual(
    { version: SEGMENT_VERSION, hashes },
    { version: VERSION, hashes: HASHES },
    'frames are made otherwise than before: raise SEGMENT_VERSION, and write it and the new hashes into this test',
  );
});
