import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { hasPictures } from '../../shared/config/model-config.ts';
import { folder, load, model } from './config-files.ts';

const ENTRY = { model_path: 'ann/net.onnx', background_dir: 'ann/frames', crop_rects_path: '/abs/rects.json' };

test('paths of a model begin at models_root, which begins at the file', () => {
  const { modelPath, backgroundDir, cropRectsPath, audioEncoderPath, sourceVideo, problems } = model(
    load({ models_root: 'avatars', models: { ann: ENTRY } }),
    'ann',
  );
  assert.equal(modelPath, path.join(folder, 'avatars/ann/net.onnx'));
  assert.equal(backgroundDir, path.join(folder, 'avatars/ann/frames'));
  assert.equal(cropRectsPath, '/abs/rects.json');
  assert.equal(audioEncoderPath, path.join(folder, 'avatars/audio_encoder.onnx'));
  assert.equal(sourceVideo, '');
  assert.deepEqual(problems, []);
});

test('without models_root they begin at the file, with an absolute one there', () => {
  assert.equal(model(load({ models: { ann: ENTRY } }), 'ann').modelPath, path.join(folder, 'ann/net.onnx'));
  const elsewhere = load({ models_root: '/srv/avatars', models: { ann: ENTRY } });
  assert.equal(model(elsewhere, 'ann').modelPath, '/srv/avatars/ann/net.onnx');
});

test('backslashes part folders on every system', () => {
  const entry = { ...ENTRY, model_path: 'ann\\nets\\net.onnx', background_dir: 'ann\\frames' };
  const { modelPath, backgroundDir } = model(load({ models_root: '/srv/avatars', models: { ann: entry } }), 'ann');
  assert.equal(modelPath, '/srv/avatars/ann/nets/net.onnx');
  assert.equal(backgroundDir, '/srv/avatars/ann/frames');
});

test('a share of a Windows network is a Windows path', { skip: process.platform === 'win32' }, () => {
  const entry = { ...ENTRY, model_path: '\\\\nas\\models\\net.onnx' };
  assert.match(model(load({ models: { ann: entry } }), 'ann').problems.join(), /^model_path: .*is a Windows path/);
});

test('the audio encoder is the model’s own, else that of onnx, else audio_encoder.onnx in models_root', () => {
  const onnx = { audio_encoder_path: 'shared.onnx' };
  const own = { ...ENTRY, audio_encoder_path: 'ann/own.onnx' };
  const models = { ann: own, bob: ENTRY };
  assert.equal(model(load({ onnx, models }), 'ann').audioEncoderPath, path.join(folder, 'ann/own.onnx'));
  assert.equal(model(load({ onnx, models }), 'bob').audioEncoderPath, path.join(folder, 'shared.onnx'));
  assert.equal(model(load({ models }), 'bob').audioEncoderPath, path.join(folder, 'audio_encoder.onnx'));
});

test('a model with pictures or crop rects alone says which key is missing', () => {
  const problemsOf = (entry: object) =>
    model(load({ models: { ann: { model_path: 'net.onnx', ...entry } } }), 'ann').problems;
  assert.deepEqual(problemsOf({ crop_rects_path: 'rects.json' }), [
    'background_dir: not set; it names the folder of the avatar frames',
  ]);
  for (const pictures of [{ background_dir: 'frames' }, { source_video: 'body.mp4' }]) {
    assert.deepEqual(problemsOf(pictures), ['crop_rects_path: not set; it names the JSON file of the crop rects']);
  }
});

test("an entry of the inference server's file is a network alone, and no problem", () => {
  const entry = { model_path: 'net.onnx', preload: true, preferred_gpu: 0 };
  const bare = model(load({ models: { ann: entry } }), 'ann');
  assert.deepEqual([bare.problems, bare.preloadModel, hasPictures(bare)], [[], true, false]);
});

test('a video may stand for the pictures', () => {
  const { background_dir: _, ...entry } = { ...ENTRY, source_video: 'ann/body.mp4' };
  const { backgroundDir, sourceVideo, problems } = model(load({ models: { ann: entry } }), 'ann');
  assert.deepEqual([backgroundDir, sourceVideo, problems], ['', path.join(folder, 'ann/body.mp4'), []]);
});

test('paths of faces begin at models_root too', () => {
  const faces = { crops_frames_dir: 'crops', rois_frames_dir: '/abs/rois', rois_video_path: 'ann\\rois.mp4' };
  const { cropsDir, cropsVideo, roisDir, roisVideo } = model(
    load({ models_root: 'avatars', models: { ann: { ...ENTRY, ...faces } } }),
    'ann',
  );
  assert.deepEqual(
    [cropsDir, cropsVideo, roisDir, roisVideo],
    [path.join(folder, 'avatars/crops'), '', '/abs/rois', path.join(folder, 'avatars/ann/rois.mp4')],
  );
});

test('a video that lies elsewhere is no problem of the entry', { skip: process.platform === 'win32' }, () => {
  const entry = { ...ENTRY, source_video: 'D:\\ann\\body.mp4', crops_video_path: 'D:/ann/crops.mp4' };
  assert.deepEqual(model(load({ models: { ann: entry } }), 'ann').problems, []);
});

test('an empty models section means no models, not the demo', () => {
  assert.deepEqual([...load({ models: {} }).models.keys()], []);
});
