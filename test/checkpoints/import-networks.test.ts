import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { findImportNetworks, keepOtherNetworks } from '../../worker/commands/import-networks.ts';
import type { ImportOptions } from '../../worker/commands/import-options.ts';
import { tinyEncoder, tinyHubert, tinyNetwork, tinyWenet } from '../onnx/tiny-onnx.ts';

const FIXTURES = new URL('./fixtures/', import.meta.url).pathname;

describe('the networks of an avatar that is imported', () => {
  let root = '';
  let folder = '';
  before(async () => {
    root = await mkdtemp(path.join(tmpdir(), 'farm-import-networks-'));
    for (const name of ['synctalk-328-ave', 'ultralight-hubert', 'audio_visual_encoder']) {
      await writeFile(path.join(root, `${name}.pth`), gunzipSync(await readFile(`${FIXTURES}${name}.pth.gz`)));
    }
  });
  beforeEach(async () => {
    folder = await mkdtemp(path.join(root, 'case-'));
    await mkdir(path.join(folder, 'checkpoint'));
  });
  after(async () => await rm(root, { recursive: true, force: true }));

  const place = async (fixture: string, name: string) =>
    await copyFile(path.join(root, fixture), path.join(folder, name));
  const find = async (options: Partial<ImportOptions> = {}) =>
    await findImportNetworks({ folder, outDir: folder, ...options } as ImportOptions);

  it('come from the newest checkpoint, with the encoder beside it', async () => {
    await place('synctalk-328-ave.pth', 'checkpoint/20.pth');
    await place('audio_visual_encoder.pth', 'audio_visual_encoder.pth');
    await writeFile(path.join(folder, 'aud_ave.npy'), '');
    const { modelPath, audioEncoderPath, made } = await find();
    assert.equal(modelPath, path.join(folder, '20.pth.onnx'));
    assert.equal(audioEncoderPath, path.join(folder, 'audio_visual_encoder.pth.onnx'));
    assert.deepEqual(
      made.map(({ words }) => words),
      [
        'checkpoint/20.pth, the only one: lip-sync network, S = 320, hears ave → 20.pth.onnx',
        'audio_visual_encoder.pth: audio encoder → audio_visual_encoder.pth.onnx',
      ],
    );
  });

  it('are those that were exported, where there are any, and checkpoints when they are named', async () => {
    await place('synctalk-328-ave.pth', 'checkpoint/20.pth');
    await writeFile(path.join(folder, 'generator.onnx'), tinyNetwork());
    await writeFile(path.join(folder, 'voice.onnx'), tinyEncoder());
    const exported = await find();
    assert.deepEqual([exported.modelPath, exported.made], [path.join(folder, 'generator.onnx'), []]);
    assert.match(exported.notes.join(), /generator\.onnx is taken, not checkpoint\/20\.pth: --checkpoint names/);
    for (const checkpoint of ['20', '20.pth', 'checkpoint/20.pth', path.join(folder, 'checkpoint')]) {
      const named = await find({ checkpoint });
      assert.equal(named.modelPath, path.join(folder, '20.pth.onnx'), checkpoint);
      assert.equal(named.audioEncoderPath, path.join(folder, 'voice.onnx'));
    }
    await assert.rejects(find({ checkpoint: 'none.pth' }), {
      code: 'input_unreadable',
      message: /none\.pth cannot be read/,
    });
  });

  it('hear what the features in the folder say, and have the encoder of that', async () => {
    await place('synctalk-328-ave.pth', 'checkpoint/20.pth');
    await assert.rejects(find({ audio: 'hubert' }), {
      code: 'model_unusable',
      message: /20\.pth\.onnx hears hubert, and no ONNX file here is an encoder of that: name it with --audio-encoder/,
    });
    await writeFile(path.join(folder, 'aud_hu.npy'), '');
    await assert.rejects(find(), /20\.pth\.onnx hears hubert/);
    assert.equal((await find({ audio: 'ave' })).made.length, 1);
    await place('ultralight-hubert.pth', 'checkpoint/30.pth');
    await assert.rejects(find(), /30\.pth\.onnx hears hubert/);
    const hubert = path.join(folder, 'hubert.onnx');
    await writeFile(hubert, tinyHubert());
    const { audioEncoderPath, made } = await find();
    assert.deepEqual([audioEncoderPath, made.length], [hubert, 1]);
    assert.match(made[0]?.words ?? '', /30\.pth, .*: lip-sync network, S = 160, hears hubert → 30\.pth\.onnx/);
  });

  it('that were exported hear what their shapes say, or what --audio names where these leave it open', async () => {
    await writeFile(path.join(folder, 'wenet.onnx'), tinyWenet());
    await writeFile(path.join(folder, 'voice.onnx'), tinyEncoder());
    await writeFile(path.join(folder, 'net.onnx'), tinyNetwork({ hears: [128, 16, 32] }));
    const found = await find();
    assert.deepEqual([found.audioEncoderPath, found.audioFeatures], [path.join(folder, 'wenet.onnx'), undefined]);
    await writeFile(path.join(folder, 'net.onnx'), tinyNetwork({ hears: [32, 'high', 'wide'] }));
    await assert.rejects(find(), { code: 'model_unusable', message: /ave .* and hubert .* fit/ });
    assert.equal((await find({ audio: 'ave' })).audioFeatures, 'ave');
  });

  it("are not confused with each other, nor written over somebody else's", async () => {
    await place('audio_visual_encoder.pth', 'checkpoint/20.pth');
    await assert.rejects(find(), /20\.pth is an audio encoder: --audio-encoder names it/);
    await place('synctalk-328-ave.pth', 'checkpoint/20.pth');
    const audioEncoderPath = path.join(root, 'ultralight-hubert.pth');
    await assert.rejects(find({ audioEncoderPath }), /ultralight-hubert\.pth is a lip-sync network, no audio encoder/);
    const { made } = await find();
    await keepOtherNetworks(made);
    await writeFile(path.join(folder, '20.pth.onnx'), made[0]?.bytes ?? '');
    await keepOtherNetworks(made);
    await writeFile(path.join(folder, '20.pth.onnx'), tinyNetwork());
    await assert.rejects(keepOtherNetworks(made), {
      code: 'model_exists',
      message: /20\.pth\.onnx is another network/,
    });
  });

  it('are asked for where there are none', async () => {
    await writeFile(path.join(folder, 'checkpoint', 'syncnet.pth'), '');
    await assert.rejects(find(), {
      code: 'model_unusable',
      message: /found checkpoint\/syncnet\.pth, which by name is no/,
    });
  });
});
