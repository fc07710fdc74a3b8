import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import type { AudioKind } from '../../shared/sound/audio-kinds.ts';
import { type ConvertedCheckpoint, convertCheckpoint } from '../../worker/checkpoints/convert-checkpoint.ts';
import { InferenceSession, Tensor } from '../../worker/onnx/onnxruntime.ts';

const run = promisify(execFile);
const HERE = new URL('./', import.meta.url).pathname;
/** Of pictures 0…1, and of features as a share of their largest. */
const TOLERANCE = 1e-5;
/** The fixtures have every 193rd value of two networks' outputs, and all of the encoder's. */
const EVERY = 193;

const { CHECKPOINTS_WITH_TORCH, CHECKPOINTS_SEED = '7' } = process.env;
/** Of the networks, what every run of the tests compares: PyTorch takes seconds to start. */
const SOME = ['ultralight-wenet'];

describe('a network made from a checkpoint', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'farm-networks-'));
    for (const name of ['synctalk-328-ave', 'ultralight-hubert', 'audio_visual_encoder']) {
      await writeFile(path.join(folder, `${name}.pth`), gunzipSync(await readFile(`${HERE}fixtures/${name}.pth.gz`)));
    }
  });
  after(async () => await rm(folder, { recursive: true, force: true }));
  const checkpoint = (name: string) => path.join(folder, `${name}.pth`);

  for (const [name, size, shape] of [
    ['synctalk-328-ave', 320, [32, 16, 16]],
    ['ultralight-hubert', 160, [16, 32, 32]],
  ] as const) {
    it(`draws what PyTorch draws: ${name}`, async () => {
      const converted = await convertCheckpoint(checkpoint(name));
      assert.equal(converted.layout.role, 'lip-sync network');
      assert.deepEqual([converted.layout.size, converted.layout.audio.shape], [size, shape]);
      assert.equal(converted.layout.audio.kind, name.split('-').at(-1));
      await compare(converted, `${HERE}fixtures/${name}.output.f32`, EVERY);
    });
  }

  it('gives the features that PyTorch gives: audio_visual_encoder', async () => {
    const converted = await convertCheckpoint(checkpoint('audio_visual_encoder'));
    assert.deepEqual(converted.layout, { role: 'audio encoder', width: 2 });
    const again = await convertCheckpoint(checkpoint('audio_visual_encoder'));
    assert.deepEqual(again.bytes, converted.bytes, 'the same file each time');
    await compare(converted, `${HERE}fixtures/audio_visual_encoder.output.f32`, 1);
  });

  it('hears what it is said to hear where weights do not tell, and nothing else', async () => {
    const hubert = await convertCheckpoint(checkpoint('synctalk-328-ave'), { hears: 'hubert' });
    assert.equal(hubert.layout.role, 'lip-sync network');
    assert.deepEqual(hubert.layout.audio, { kind: 'hubert', shape: [32, 32, 32] });
    assert.deepEqual(hubert.layout.mayHear, ['ave', 'hubert']);
    await assert.rejects(convertCheckpoint(checkpoint('ultralight-hubert'), { hears: 'ave' }), {
      code: 'model_unusable',
      message: /features of 16 channels, as hubert has them, not ave/,
    });
  });

  it('is refused by the names of what is missing, left over, or of another kind', async () => {
    const whole = await readFile(checkpoint('ultralight-hubert'));
    const changed = path.join(folder, 'changed.pth');
    const refused = async (from: string, to: string, message: RegExp) => {
      const bytes = Buffer.from(whole);
      const at = bytes.indexOf(from, 0, 'latin1');
      assert.ok(at > 0 && from.length === to.length);
      bytes.write(to, at, 'latin1');
      await writeFile(changed, bytes);
      await assert.rejects(convertCheckpoint(changed), { code: 'model_unusable', message });
    };
    const looksLike = 'changed.pth looks like a lip-sync network, S = 160, hears hubert, but';
    await refused(
      'outc.conv.bias',
      'outc.conv.biaz',
      new RegExp(`${looksLike} it lacks outc.conv.bias; outc.conv.biaz is of no layer that is known`),
    );
    await refused('audio_model.conv1.conv.0.weight', 'audio_model.conv1.conv.0.weighs', /is no network of SyncTalk_2D/);
    await assert.rejects(convertCheckpoint(`${HERE}fixtures/training.pth`), {
      code: 'model_unusable',
      message: /training\.pth is no network of .*; it has 0\.weight, 0\.bias, 1\.weight, 1\.bias, 1\.running_mean/,
    });
  });

  it('agrees with PyTorch where that is installed', async (test) => {
    const python = await pythonWithTorch();
    if (python === undefined) return test.skip('no python3 here has PyTorch: Debian calls it python3-torch');
    const all = CHECKPOINTS_WITH_TORCH === 'all';
    const out = path.join(folder, 'torch');
    const options = [out, '--seed', CHECKPOINTS_SEED, '--width', all ? '32' : '2', ...(all ? [] : SOME)];
    const environment = { ...process.env, PYTHONDONTWRITEBYTECODE: '1' };
    const { stdout } = await run(python, [`${HERE}torch/write_networks.py`, ...options], { env: environment });
    const names = stdout.split('\n').flatMap((line) => line.match(/^\w[\w-]*/) ?? []);
    assert.equal(names.length, all ? 9 : SOME.length, stdout);
    for (const name of names) {
      const hears = name.startsWith('synctalk') ? (name.split('-').at(-1) as AudioKind) : undefined;
      const converted = await convertCheckpoint(path.join(out, `${name}.pth`), { hears });
      const error = await compare(converted, path.join(out, `${name}.output.f32`), 1);
      if (all) test.diagnostic(`${name}: ${error.toExponential(1)}`);
    }
  });
});

/** Runs the network for two items and for the second one alone. @returns the largest error. */
async function compare(converted: ConvertedCheckpoint, outputFile: string, every: number): Promise<number> {
  const session = await InferenceSession.create(converted.bytes);
  try {
    const expected = await floatsOf(outputFile);
    const output = await outputOf(session, converted, 2);
    const alone = await outputOf(session, converted, 1);
    const sampled = output.filter((_, index) => index % every === 0);
    assert.equal(sampled.length, expected.length);
    const scale = converted.layout.role === 'audio encoder' ? Math.max(...expected.map(Math.abs)) : 1;
    const error = largestDifference(sampled, expected) / scale;
    assert.ok(error <= TOLERANCE, `${converted.path} is off by ${error}`);
    assert.ok(largestDifference(alone, output.subarray(0, alone.length)) / scale <= TOLERANCE);
    return error;
  } finally {
    await session.release();
  }
}

async function outputOf(session: InferenceSession, { layout }: ConvertedCheckpoint, batch: number) {
  const feeds =
    layout.role === 'audio encoder'
      ? { mel_spectrogram: ramp([batch, 1, 80, 16], 8, -4) }
      : {
          input: ramp([batch, 6, layout.size, layout.size], 1, 0),
          audio: ramp([batch, ...layout.audio.shape], 2, -1),
        };
  const [output] = Object.values(await session.run(feeds));
  assert.ok(output?.data instanceof Float32Array);
  return output.data;
}

/** As `ramp` in torch/networks.py. */
function ramp(dims: readonly number[], scale: number, shift: number): Tensor {
  const count = dims.reduce((product, dim) => product * dim, 1);
  const values = Float32Array.from({ length: count }, (_, index) => (((index * 7919) % 1000) / 1000) * scale + shift);
  return new Tensor('float32', values, dims);
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, value, index) => Math.max(most, Math.abs(value - (b[index] ?? Number.NaN))), 0);
}

async function floatsOf(file: string): Promise<Float32Array> {
  const bytes = await readFile(file);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

async function pythonWithTorch(): Promise<string | undefined> {
  for (const python of ['python3', '/usr/bin/python3']) {
    const found = await run(python, ['-c', 'import importlib.util as u; assert u.find_spec("torch")']).then(
      () => true,
      () => false,
    );
    if (found) return python;
  }
  return undefined;
}
