import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import { stringify } from 'yaml';
import { buildBenchModels } from '../../avatars/bench/build.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { checkAvatarFiles } from '../../worker/avatar/avatar.ts';
import { readCropRects } from '../../worker/avatar/crop-rects.ts';
import { convertCheckpoint } from '../../worker/checkpoints/convert-checkpoint.ts';
import { checkAvatar } from '../../worker/commands/check-avatar.ts';
import { importAvatar } from '../../worker/commands/import-avatar.ts';
import { readImportOptions } from '../../worker/commands/import-options.ts';
import { SAMPLE_SPEECH } from '../../worker/commands/try-model.ts';
import type { Rect } from '../../worker/pipeline/contract.ts';
import { writeVideo } from '../avatar/videos.ts';
import { brokenNetwork, tinyNetwork } from '../onnx/tiny-onnx.ts';
import { landmarksFor, writeDataset } from '../support/dataset.ts';
import { decodeFrames, inspectVideo } from '../support/ffprobe.ts';
import { livingFamily, runCli } from '../support/run-cli.ts';
import {
  buildSmallAvatar,
  CLEAR_MODEL,
  IDLE_DIR,
  SMALL_FACE,
  SMALL_MODEL,
  SMALL_PICTURE,
} from '../support/small-avatar.ts';

interface Outcome {
  readonly code: number | null;
  readonly output: string;
}

const PICTURES = 6;
/** Of a narrow network of SyncTalk_2D, written by PyTorch. */
const CHECKPOINT = new URL('../checkpoints/fixtures/synctalk-328-ave.pth.gz', import.meta.url);
/** Boxes of the same rect for six pictures, written by NumPy. */
const COORDS = new URL('../fixtures/livetalking-coords.pkl', import.meta.url);
const CONFIG = '# ours\nmodels_root: datasets\nrender: {h264_preset: ultrafast}\n';
const ENVIRONMENT = { redisUrl: undefined, configPath: undefined, overrides: new Map<string, string>() };

describe('farm avatar import', () => {
  let root = '';
  let pristine = '';
  let rects: readonly Rect[] = [];
  /** Of one test, in folders of its own. */
  let dataset = '';
  let configPath = '';
  let tests = 0;

  before(async () => {
    await buildSmallAvatar();
    root = await mkdtemp(path.join(tmpdir(), 'farm-import-'));
    pristine = path.join(root, 'pristine');
    rects = await writeDataset(pristine, PICTURES);
  });
  beforeEach(async () => {
    const folder = path.join(root, `test-${++tests}`);
    dataset = path.join(folder, 'datasets', 'anna');
    await cp(pristine, dataset, { recursive: true });
    configPath = path.join(folder, 'config.yaml');
    await writeFile(configPath, CONFIG);
  });
  after(async () => await rm(root, { recursive: true, force: true }));

  const words = (options: readonly string[]) => [dataset, '--config', configPath, ...options];

  /** As the user does it: the command, which starts the worker's own. */
  async function typed(...options: string[]): Promise<Outcome> {
    const run = runCli('avatar', 'import', ...words(options));
    const code = await run.exited;
    return { code, output: run.output() };
  }

  /** What the worker's command does with the same words, in this process, and what it prints. */
  async function imported(...options: string[]): Promise<Outcome> {
    const lines: string[] = [];
    const say = (subject: string, text: string) => {
      lines.push(`${subject.padEnd(10)}${text}\n`);
    };
    try {
      await importAvatar({ ...readImportOptions(words(options)), say }, new AbortController().signal);
      return { code: 0, output: lines.join('') };
    } catch (error) {
      const { message, remedy, code } = FarmError.from(error).toReport();
      return { code: 1, output: `${lines.join('')}\nfarm: ${message}\n  what to do: ${remedy}  [${code}]\n` };
    }
  }

  /** Everything around the dataset and the configuration, with what is in the files that an import writes. */
  async function everything(): Promise<unknown> {
    const folder = path.dirname(configPath);
    const rectsPath = path.join(dataset, 'crop_rects.json');
    return {
      files: (await readdir(folder, { recursive: true })).sort(),
      config: await readFile(configPath, 'utf8'),
      rects: existsSync(rectsPath) && (await readFile(rectsPath, 'utf8')),
    };
  }

  async function refused(message: RegExp, ...options: string[]): Promise<void> {
    const before = await everything();
    const { code, output } = await imported(...options);
    assert.equal(code, 1, output);
    assert.match(output, message);
    assert.deepEqual(await everything(), before);
  }

  it('makes a model that a worker accepts, and a preview with sound', async () => {
    const { code, output } = await typed('--json', '--seconds', '2');
    assert.equal(code, 0, output);
    const { model_id, config, pictures, ...made } = JSON.parse(/^\{$[\s\S]*?^\}$/m.exec(output)?.[0] ?? '');
    assert.deepEqual([model_id, config, pictures], ['anna', configPath, PICTURES]);
    assert.match(output, /network .*generator\.onnx, 160², cpu, [\d.]+ ms\/frame/);
    const entry = ['model_path: anna/generator.onnx', 'audio_encoder_path: anna/audio_encoder.onnx'];
    const files = ['background_dir: anna/full_body_img', 'crop_rects_path: anna/crop_rects.json'];
    const added = ['models:', '  anna:', ...[...entry, ...files].map((line) => `    ${line}`), ''].join('\n');
    assert.equal(await readFile(configPath, 'utf8'), CONFIG + added);

    const model = loadConfig(configPath, ENVIRONMENT).models.get('anna');
    assert.ok(model);
    assert.deepEqual(await checkAvatarFiles(model), []);
    assert.deepEqual(await readCropRects(model.cropRectsPath), rects);

    const preview = path.join(dataset, 'anna-preview.mp4');
    assert.equal(made.preview, preview);
    const facts = await inspectVideo(preview);
    assert.equal(facts.videoTimes.length, 50);
    assert.ok(facts.audioPackets > 0);
    const [first] = await decodeFrames(preview, SMALL_PICTURE.width, SMALL_PICTURE.height);
    assert.ok(first?.some((value) => value > 100));
  });

  it('takes what people have: networks in sub-folders, pictures on their side, files of Windows', async () => {
    for (const name of ['generator.onnx', 'audio_encoder.onnx']) await moveInto(dataset, 'checkpoint', name);
    await mkdir(path.join(dataset, 'old'));
    await writeFile(path.join(dataset, 'old', '9.onnx'), tinyNetwork());
    const upright = lightAbove();
    const lying = sharp(await upright.toBuffer())
      .rotate(-90)
      .withMetadata({ orientation: 6 });
    await lying.toFile(path.join(dataset, 'full_body_img', '1.jpg'));
    for (const [number, encoding] of (['utf8', 'utf16le'] as const).entries()) {
      const landmarks = path.join(dataset, 'landmarks', `${number}.lms`);
      const text = (await readFile(landmarks, 'utf8')).replaceAll('\n', '\r\n');
      await writeFile(landmarks, `\uFEFF${text}`, encoding);
    }
    const before = `\uFEFF${CONFIG}x-kept: &kept {preferred_gpu: 0}\nmodels:\n  bob:\n    <<: *kept\n    model_path: b.onnx\n`;
    await writeFile(configPath, before.replaceAll('\n', '\r\n'), 'utf16le');

    const { code, output } = await imported('--seconds', '1');
    assert.equal(code, 0, output);
    assert.match(output, /pictures +6 of 64×48/);
    assert.match(output, /network .*checkpoint\/generator\.onnx, 160²/);
    assert.match(
      output,
      /note +checkpoint\/generator\.onnx is taken, the nearest, not old\/9\.onnx: --model names another/,
    );
    const after = (await readFile(configPath, 'utf16le')).split('\r\n');
    assert.deepEqual(after.slice(0, -6), before.split('\n').slice(0, -1));
    assert.deepEqual(after.slice(-6, -4), ['  anna:', '    model_path: anna/checkpoint/generator.onnx']);
    const { models } = loadConfig(configPath, ENVIRONMENT);
    assert.deepEqual([...models.keys()], ['bob', 'anna']);
    assert.deepEqual(await readCropRects(models.get('anna')?.cropRectsPath ?? ''), rects);
    // The second frame shows the second picture, of which the small avatar's face is a little brighter.
    const { width, height } = SMALL_PICTURE;
    const [, shown = Buffer.alloc(0)] = await decodeFrames(path.join(dataset, 'anna-preview.mp4'), width, height);
    const expected = await upright.removeAlpha().raw().toBuffer();
    const difference = shown.reduce((sum, value, at) => sum + Math.abs(value - (expected[at] ?? 0)), 0) / shown.length;
    assert.ok(difference < 20, `${difference}`);
  });

  it('makes the network of the checkpoint with the highest number, and says which', async () => {
    const folder = path.join(dataset, 'checkpoint');
    await mkdir(folder);
    await rm(path.join(dataset, 'generator.onnx'));
    await writeFile(path.join(folder, '195.pth'), gunzipSync(await readFile(CHECKPOINT)));
    for (const name of ['5.pth', 'syncnet_900.pth']) await writeFile(path.join(folder, name), 'weights');
    const damaged = /checkpoint\/5\.pth cannot be read: it is no checkpoint of PyTorch\n.*\[checkpoint_unreadable\]/;
    await refused(damaged, '--checkpoint', '5');
    const { code, output } = await imported('--no-preview');
    assert.equal(code, 0, output);
    const what = 'lip-sync network, S = 320, hears ave → 195.pth.onnx';
    assert.ok(output.includes(`weights   checkpoint/195.pth, the highest number of 2: ${what}\n`), output);
    assert.match(output, /note +checkpoint\/195\.pth is taken to hear ave; its weights fit hubert as well: --audio/);
    assert.match(output, /network +.*anna\/195\.pth\.onnx, 320², cpu/);
    const model = loadConfig(configPath, ENVIRONMENT).models.get('anna');
    assert.equal(model?.modelPath, path.join(dataset, '195.pth.onnx'));
    const { bytes } = await convertCheckpoint(path.join(folder, '195.pth'));
    assert.deepEqual(await readFile(model.modelPath), Buffer.from(bytes));
  });

  it('lists all that a folder lacks, where it looked, and what lies a folder deeper', async () => {
    for (const name of ['generator.onnx', 'audio_encoder.onnx']) await rm(path.join(dataset, name));
    dataset = path.dirname(dataset);
    const lacks = 'has no folder landmarks: .*; .* has no folder full_body_img and no video: .*';
    const deeper = 'it has anna; anna in it can be imported';
    await refused(new RegExp(`${lacks}; ${deeper}\\n.*no lip-sync network: looked .* 3 levels deep`), '--id', 'all');
  });

  it('says of a folder that is not there only that', async () => {
    dataset = path.join(dataset, 'none');
    await refused(/folder .*none cannot be read: there is no such folder\n.*\[input_unreadable\]/);
  });

  it('names a picture and a video that were cut off, and a video that is too short', async () => {
    const picture = path.join(dataset, 'full_body_img', '3.jpg');
    const whole = await readFile(picture);
    await writeFile(picture, whole.subarray(0, whole.length / 2));
    await refused(/picture .*\/3\.jpg cannot be read/);
    await rm(path.join(dataset, 'full_body_img'), { recursive: true });
    const [film, recording] = [path.join(dataset, 'film.mkv'), path.join(dataset, 'film.mp4')];
    await writeVideo(film, { frames: PICTURES });
    const content = await readFile(film);
    await writeFile(film, content.subarray(0, content.length / 2));
    await refused(/film\.mkv is not whole: it was cut off: it has \d+ bytes of \d+; copy or download it again/);
    await rm(film);
    await writeVideo(recording, { frames: PICTURES - 2 });
    const out = path.join(path.dirname(dataset), 'new', 'folder');
    await refused(
      /4 pictures in .*film\.mp4, at 25 a second, 6 rects of .*: no picture for landmarks 4–5/,
      '--out',
      out,
    );
  });

  it('takes S from the network: 160, networks from elsewhere, an id, another folder for what it makes, no preview', async () => {
    const made = path.join(root, 'made');
    const network = path.join(root, 'small.onnx');
    await writeFile(network, tinyNetwork({ size: 160 }));
    const encoder = path.join(root, 'voice.onnx');
    await cp(path.join(dataset, 'audio_encoder.onnx'), encoder);
    const networks = ['-m', network, '-a', encoder, '-s', '160'];
    await mkdir(made);
    await writeFile(path.join(made, 'crop_rects.json'), '[[0, 0, 30, 30]]');
    const without = ['--no-preview', '--no-masks', '--no-report', '--force'];
    const { code, output } = await typed('--id', 'small', ...networks, '--out', made, ...without);
    assert.equal(code, 0, output);
    assert.match(output, /160², cpu/);
    assert.deepEqual(await readdir(made), ['crop_rects.json']);
    assert.equal(existsSync(path.join(dataset, 'crop_rects.json')), false);
    const model = loadConfig(configPath, ENVIRONMENT).models.get('small');
    assert.deepEqual([model?.modelPath, model?.audioEncoderPath], [network, encoder]);
    assert.equal(model?.cropRectsPath, path.join(made, 'crop_rects.json'));
    assert.deepEqual([await readCropRects(model.cropRectsPath), model.masksDir], [rects, '']);
    await rm(made, { recursive: true });
  });

  it('takes the encoder of the configuration when the folder has none', async () => {
    const encoder = path.join(path.dirname(dataset), 'audio_encoder.onnx');
    await cp(path.join(dataset, 'audio_encoder.onnx'), encoder);
    await rm(path.join(dataset, 'audio_encoder.onnx'));
    await mkdir(path.join(dataset, 'parsing'));
    const { code, output } = await imported('--no-preview', '--no-masks');
    assert.equal(code, 0, output);
    assert.ok(output.includes(`encoder   ${encoder}`), output);
    assert.equal(loadConfig(configPath, ENVIRONMENT).models.get('anna')?.masksDir, '');
    assert.ok(!(await readFile(configPath, 'utf8')).includes('audio_encoder_path'));
  });

  it('refuses what is not complete, and leaves nothing behind', async () => {
    await writeMasks(dataset, PICTURES - 1);
    await refused(/parsing has no mask for picture 5: .*5 masks for 6 pictures.*; --no-masks leaves masks out/);
    await rm(path.join(dataset, 'landmarks', '3.lms'));
    await refused(/6 pictures in .*, 5 of them with a rect of .*: picture 3 has no landmarks/, '--strict');
    await rm(path.join(dataset, 'landmarks'), { recursive: true });
    await refused(/has no folder landmarks/);
  });

  it('refuses a rect outside the picture, and a network that does not fit, after a run of it', async () => {
    await refused(/S = 160: --size asks for 320/, '--size', '320');
    const broken = path.join(root, 'broken.onnx');
    await writeFile(broken, brokenNetwork());
    await refused(/ONNX Runtime refuses it/, '--model', broken);
    await writeFile(broken, tinyNetwork({ channels: 4 }));
    await refused(/output "output" .*expected input float32 \[batch, 6, S, S\]/, '--model', broken);
    await writeFile(path.join(dataset, 'landmarks', '2.lms'), landmarksFor({ x1: 40, y1: 0, x2: 80, y2: 40 }));
    await refused(/the rect of picture 2 leaves the 64×48 picture \(\[40, 0, 80, 40\]\);/, '--strict');
  });

  it('fills holes of the landmarks, and says so in its page, in JSON and in a later check', async () => {
    const landmarks = path.join(dataset, 'landmarks');
    await rm(path.join(landmarks, '0.lms'));
    await writeFile(path.join(landmarks, '3.lms'), '1 2\n3 4\n');
    await writeFile(path.join(landmarks, '5.lms'), '');
    await writeFile(path.join(landmarks, '9.lms'), landmarksFor(SMALL_FACE));
    const told = [
      /picture 0 has no landmarks: filled from their neighbours/,
      /3\.lms has 2 landmarks: expected 110; .*5\.lms is empty \(0 bytes\): filled from their neighbours/,
      /no picture for landmarks 9: left out/,
    ];
    for (const message of told) await refused(new RegExp(message.source.replace(/: (filled|left).*/, '')), '--strict');
    const { code, output } = await imported('--seconds', '3');
    assert.equal(code, 0, output);
    for (const message of told) assert.match(output, new RegExp(`warning +.*${message.source}`));
    assert.deepEqual(await readCropRects(path.join(dataset, 'crop_rects.json')), rects);
    const page = await readFile(path.join(dataset, 'anna-report.html'), 'utf8');
    for (const message of told) assert.match(page, new RegExp(message.source, 'i'));
    assert.equal(page.match(/<svg viewBox/g)?.length, PICTURES);
    assert.equal(page.match(/<rect class="above" x="8" y="4" width="40" height="40"/g)?.length, PICTURES);
    assert.doesNotMatch(page, /<script|https?:|undefined|NaN/);

    const config = loadConfig(configPath, ENVIRONMENT);
    const lines: string[] = [];
    const say = (subject: string, text: string) => lines.push(`${subject} ${text}`);
    const asked = { config, preview: true, seconds: 3, speech: SAMPLE_SPEECH, reportPath: undefined, say };
    const before = await everything();
    const checked = await checkAvatar({ ...asked, modelId: 'anna' }, new AbortController().signal);
    const { quality, findings, ...facts } = checked;
    const size = { width: SMALL_PICTURE.width, height: SMALL_PICTURE.height, network_size: 160 };
    assert.deepEqual(facts, { model_id: 'anna', usable: true, pictures: PICTURES, ...size, report: null });
    assert.deepEqual(await everything(), before);
    assert.ok(output.includes(`, seam ${quality?.seam.added},`), output);
    assert.deepEqual(
      findings.map(({ code }) => code),
      ['rects_tiny', ...(quality?.findings ?? [])],
    );
  });

  it('makes a model of an Ultralight avatar of LiveTalking: pictures, boxes and a network', async () => {
    await rename(path.join(dataset, 'full_body_img'), path.join(dataset, 'full_imgs'));
    await rm(path.join(dataset, 'landmarks'), { recursive: true });
    await cp(COORDS, path.join(dataset, 'coords.pkl'));
    const { code, output } = await imported('--no-preview');
    assert.equal(code, 0, output);
    assert.match(output, /rects +40 pixels wide, the first \[8, 4, 48, 44\], from .*coords\.pkl/);
    const model = loadConfig(configPath, ENVIRONMENT).models.get('anna');
    assert.equal(model?.backgroundDir, path.join(dataset, 'full_imgs'));
    assert.deepEqual(await readCropRects(model.cropRectsPath), rects);
  });

  it('checks a network alone, an idle clip, and tells of a background that nobody sees', async () => {
    const models = { alone: { model_path: SMALL_MODEL.model_path }, anna: { ...SMALL_MODEL, idle_dir: IDLE_DIR } };
    const entries = { ...models, seen: { ...CLEAR_MODEL, background: '#00b140' } };
    const unseen = { ...models.anna, background: '#00b140' };
    const { audio_encoder_path } = SMALL_MODEL;
    await writeFile(configPath, stringify({ onnx: { audio_encoder_path }, models: { ...entries, unseen } }));
    const config = loadConfig(configPath, ENVIRONMENT);
    const lines: string[] = [];
    const check = async (modelId: string) => {
      const say = (subject: string, text: string) => lines.push(`${modelId}: ${subject} ${text}`);
      const asked = { config, preview: false, speech: SAMPLE_SPEECH, reportPath: undefined, say };
      const { findings } = await checkAvatar({ ...asked, modelId }, new AbortController().signal);
      return findings.map(({ code }) => code).filter((code) => code !== 'rects_tiny');
    };
    assert.deepEqual(await check('alone'), []);
    assert.deepEqual(await check('seen'), []);
    assert.deepEqual(await check('unseen'), ['background_unseen']);
    const said = lines.join('\n');
    assert.match(said, /alone: pictures none: the model gives mouths alone/);
    assert.match(said, /unseen: idle clip 3 pictures in .*idle/);
    assert.match(said, /unseen: warning the background #00b140 is never seen/);
  });

  it('ends a check with 1, and says why, where a worker could not use the model', async () => {
    await imported('--no-preview', '--no-report');
    await writeFile(path.join(dataset, 'full_body_img', '4.jpg'), '');
    const run = runCli('avatar', 'check', 'anna', '--config', configPath, '--json');
    assert.equal(await run.exited, 1);
    assert.match(run.output(), /4\.jpg cannot be read: the file is empty \(0 bytes\)/);
    assert.match(run.output(), /^\{"error":\{"code":"model_unusable"/m);
  });

  it('refuses an id that is there and crop rects of somebody else, unless it is forced', async () => {
    const rectsPath = path.join(dataset, 'crop_rects.json');
    await writeFile(rectsPath, JSON.stringify(Array(PICTURES).fill([0, 0, 30, 30])));
    await refused(/crop_rects\.json has other rects/, '--no-preview');
    await writeMasks(dataset, PICTURES);
    const { code, output } = await imported('--no-preview', '--force');
    assert.equal(code, 0, output);
    assert.match(output, /masks +6 in .*anna\/parsing: red and white stay the picture's/);
    assert.deepEqual(await readCropRects(rectsPath), rects);
    const model = loadConfig(configPath, ENVIRONMENT).models.get('anna');
    assert.equal(model?.masksDir, path.join(dataset, 'parsing'));
    const again = await imported('--no-preview');
    assert.equal(again.code, 1);
    assert.match(again.output, /has a model "anna" already\n.*\[model_exists\]/);
  });

  it('takes the pictures from a video when there is no folder of them', async () => {
    const frames = path.join(dataset, 'full_body_img');
    const video = path.join(dataset, 'anna.mp4');
    await writeVideo(video, { frames: PICTURES });
    await rm(frames, { recursive: true });
    const { code, output } = await imported('--no-preview');
    assert.equal(code, 0, output);
    assert.match(output, /video +6 pictures of anna\.mp4/);
    assert.equal((await readdir(frames)).length, PICTURES);
    assert.deepEqual(await readCropRects(path.join(dataset, 'crop_rects.json')), rects);
  });

  it('changes nothing when it is interrupted in the middle of the preview', async () => {
    const { generatorPath } = await buildBenchModels();
    const filesBefore = await readdir(dataset, { recursive: true });
    const run = runCli('avatar', 'import', dataset, '--config', configPath, '--model', generatorPath);
    await run.until(/encoder/);
    run.child.kill('SIGTERM');
    assert.equal(await run.exited, 1, run.output());
    assert.match(run.output(), /interrupted; nothing was changed/);
    assert.equal(await readFile(configPath, 'utf8'), CONFIG);
    assert.deepEqual(await readdir(dataset, { recursive: true }), filesBefore);
    assert.deepEqual(await livingFamily(run.family), []);
  });

  it('removes the pictures of a video again when the import fails', async () => {
    const frames = path.join(dataset, 'full_body_img');
    await writeVideo(path.join(dataset, 'anna.mp4'), { frames: PICTURES });
    await rm(frames, { recursive: true });
    await rm(path.join(dataset, 'landmarks'), { recursive: true });
    await mkdir(path.join(dataset, 'landmarks'));
    await refused(/pictures 0–5 have no landmarks/);
  });
});

async function moveInto(dataset: string, folder: string, name: string): Promise<void> {
  await mkdir(path.join(dataset, folder), { recursive: true });
  await rename(path.join(dataset, name), path.join(dataset, folder, name));
}

/** As SyncTalk_2D leaves them: the background white, the face blue. */
async function writeMasks(dataset: string, count: number): Promise<void> {
  await mkdir(path.join(dataset, 'parsing'));
  const { width, height } = SMALL_PICTURE;
  const face = { create: { width: width / 2, height: height / 2, channels: 3 as const, background: '#00f' } };
  const mask = sharp({ create: { width, height, channels: 3, background: '#fff' } }).composite([{ input: face }]);
  for (let number = 0; number < count; number++) {
    await mask
      .clone()
      .png()
      .toFile(path.join(dataset, 'parsing', `${number}.png`));
  }
}

function lightAbove(): Sharp {
  const { width, height } = SMALL_PICTURE;
  const light = { create: { width, height: height / 2, channels: 3 as const, background: '#ddd' } };
  const dark = sharp({ create: { width, height, channels: 3, background: '#222' } });
  return dark.composite([{ input: light, left: 0, top: 0 }]).png();
}
