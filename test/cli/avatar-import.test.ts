import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { buildBenchModels } from '../../avatars/bench/build.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { checkAvatarFiles } from '../../worker/avatar/avatar.ts';
import { readCropRects } from '../../worker/avatar/crop-rects.ts';
import type { Rect } from '../../worker/pipeline/contract.ts';
import { writeVideo } from '../avatar/videos.ts';
import { brokenNetwork, tinyNetwork } from '../onnx/tiny-onnx.ts';
import { landmarksFor, writeDataset } from '../support/dataset.ts';
import { buildDemoAvatar } from '../support/farm.ts';
import { decodeFrames, inspectVideo } from '../support/ffprobe.ts';
import { livingFamily, runCli } from '../support/run-cli.ts';

const PICTURES = 6;
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
    await buildDemoAvatar();
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

  async function importAvatar(...options: string[]): Promise<{ code: number | null; output: string }> {
    const run = runCli('avatar', 'import', dataset, '--config', configPath, ...options);
    const code = await run.exited;
    return { code, output: run.output() };
  }

  async function refused(message: RegExp, ...options: string[]): Promise<void> {
    const filesBefore = await readdir(dataset, { recursive: true });
    const { code, output } = await importAvatar(...options);
    assert.equal(code, 1, output);
    assert.match(output, message);
    assert.equal(await readFile(configPath, 'utf8'), CONFIG);
    assert.deepEqual(await readdir(dataset, { recursive: true }), filesBefore);
  }

  it('makes a model that a worker accepts, and a preview with sound', async () => {
    const { code, output } = await importAvatar();
    assert.equal(code, 0, output);
    assert.match(output, /network .*generator\.onnx, 320², cpu, [\d.]+ ms\/frame/);
    const entry = ['model_path: anna/generator.onnx', 'audio_encoder_path: anna/audio_encoder.onnx'];
    const files = ['background_dir: anna/full_body_img', 'crop_rects_path: anna/crop_rects.json'];
    const added = ['models:', '  anna:', ...[...entry, ...files].map((line) => `    ${line}`), ''].join('\n');
    assert.equal(await readFile(configPath, 'utf8'), CONFIG + added);

    const model = loadConfig(configPath, ENVIRONMENT).models.get('anna');
    assert.ok(model);
    assert.deepEqual(await checkAvatarFiles(model), []);
    assert.deepEqual(await readCropRects(model.cropRectsPath), rects);

    const preview = path.join(dataset, 'anna-preview.mp4');
    const facts = await inspectVideo(preview);
    assert.equal(facts.videoTimes.length, 50);
    assert.ok(facts.audioPackets > 0);
    const [first] = await decodeFrames(preview, 1280, 720);
    assert.ok(first?.some((value) => value > 128));
  });

  it('takes S from the network: 160, an id, another folder for what it makes, no preview', async () => {
    const made = path.join(root, 'made');
    const network = path.join(root, 'small.onnx');
    await writeFile(network, tinyNetwork({ size: 160 }));
    const options = ['--id', 'small', '--model', network, '--size', '160', '--out', made, '--no-preview'];
    const { code, output } = await importAvatar(...options);
    assert.equal(code, 0, output);
    assert.match(output, /160², cpu/);
    assert.deepEqual(await readdir(made), ['crop_rects.json']);
    assert.equal(existsSync(path.join(dataset, 'crop_rects.json')), false);
    const model = loadConfig(configPath, ENVIRONMENT).models.get('small');
    assert.equal(model?.modelPath, network);
    assert.equal(model?.cropRectsPath, path.join(made, 'crop_rects.json'));
    await rm(made, { recursive: true });
  });

  it('takes the encoder of the configuration when the folder has none', async () => {
    const encoder = path.join(path.dirname(dataset), 'audio_encoder.onnx');
    await cp(path.join(dataset, 'audio_encoder.onnx'), encoder);
    await rm(path.join(dataset, 'audio_encoder.onnx'));
    const { code, output } = await importAvatar('--no-preview');
    assert.equal(code, 0, output);
    assert.ok(output.includes(`encoder   ${encoder}`), output);
    assert.ok(!(await readFile(configPath, 'utf8')).includes('audio_encoder_path'));
  });

  it('refuses what is not complete, and leaves nothing behind', async () => {
    await rm(path.join(dataset, 'landmarks', '3.lms'));
    await refused(/6 pictures in .*, 5 landmark files in .*: no landmarks for picture 3/);
    await rm(path.join(dataset, 'landmarks'), { recursive: true });
    await refused(/has no folder landmarks/);
  });

  it('refuses a rect outside the picture, and a network that does not fit, after a run of it', async () => {
    await refused(/S = 320: --size asks for 160/, '--size', '160');
    const broken = path.join(root, 'broken.onnx');
    await writeFile(broken, brokenNetwork());
    await refused(/ONNX Runtime refuses it/, '--model', broken);
    await writeFile(broken, tinyNetwork({ channels: 4 }));
    await refused(/output "output" .*expected input float32 \[batch, 6, S, S\]/, '--model', broken);
    await writeFile(path.join(dataset, 'landmarks', '2.lms'), landmarksFor({ x1: 1200, y1: 0, x2: 1300, y2: 100 }));
    await refused(/crop rect 2 in .* is \[1200, 0, 1300, 100\], outside the 1280×720 picture/);
  });

  it('refuses an id that is there and crop rects of somebody else, unless it is forced', async () => {
    const rectsPath = path.join(dataset, 'crop_rects.json');
    await writeFile(rectsPath, JSON.stringify(Array(PICTURES).fill([0, 0, 100, 100])));
    await refused(/crop_rects\.json has other rects/, '--no-preview');
    assert.equal((await importAvatar('--no-preview', '--force')).code, 0);
    assert.deepEqual(await readCropRects(rectsPath), rects);
    const again = await importAvatar('--no-preview');
    assert.equal(again.code, 1);
    assert.match(again.output, /has a model "anna" already\n.*\[model_exists\]/);
  });

  it('takes the pictures from a video when there is no folder of them', async () => {
    const frames = path.join(dataset, 'full_body_img');
    const video = path.join(dataset, 'anna.mp4');
    await writeVideo(video, { frames: PICTURES, size: '1280x720' });
    await rm(frames, { recursive: true });
    const { code, output } = await importAvatar('--no-preview');
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
    await writeVideo(path.join(dataset, 'anna.mp4'), { frames: PICTURES, size: '1280x720' });
    await rm(frames, { recursive: true });
    await rm(path.join(dataset, 'landmarks'), { recursive: true });
    await mkdir(path.join(dataset, 'landmarks'));
    await refused(/no landmarks for picture 0, 1, 2, 3, 4 and 1 more/);
  });
});
