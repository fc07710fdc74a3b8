import assert from 'node:assert/strict';
import { mkdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { encoderCheckpoints, findNetworkFiles, newestCheckpoint } from '../../worker/onnx/network-files.ts';
import { openWorkspace } from '../models/workspace.ts';

async function place(folder: string, ...names: string[]): Promise<void> {
  for (const name of names) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), '');
  }
}

test('files are found three folders deep, the nearest first and in checkpoint/ before its neighbours', async (t) => {
  const { folder } = await openWorkspace(t);
  const deep = ['aux/c.onnx', 'checkpoint/10.onnx', 'checkpoint/9.ONNX', 'a/b/c/near.onnx', 'a/b/c/d/far.onnx'];
  await place(folder, ...deep, 'z.onnx', 'landmarks/x.onnx', 'full_body_img/x.onnx', '.cache/x.onnx', 'runs/1.txt');
  await place(folder, '.hidden/linked.onnx');
  await symlink('.hidden', join(folder, 'training'));
  await symlink('nowhere', join(folder, 'dangling'));
  const { onnxPaths } = await findNetworkFiles(folder);
  assert.deepEqual(
    onnxPaths.map((path) => relative(folder, path)),
    ['z.onnx', 'checkpoint/9.ONNX', 'checkpoint/10.onnx', 'aux/c.onnx', 'training/linked.onnx', 'a/b/c/near.onnx'],
  );
});

test('the newest checkpoint is the one with the highest number, else the one written last', async (t) => {
  const { folder } = await openWorkspace(t);
  await place(folder, 'checkpoint/5.pth', 'checkpoint/195.pth', 'checkpoint/40.pth', 'syncnet_ckpt/900.pth');
  await place(folder, 'checkpoint/audio_visual_encoder.pth');
  const files = await findNetworkFiles(folder);
  const highest = { path: join(folder, 'checkpoint/195.pth'), why: 'the highest number of 3' };
  assert.deepEqual(await newestCheckpoint(files), highest);
  assert.deepEqual(encoderCheckpoints(files), [join(folder, 'checkpoint/audio_visual_encoder.pth')]);
  await place(folder, 'checkpoint/195.pth.onnx', 'checkpoint/unet_epoch_200.pth', 'checkpoint/v300.pth');
  const { onnxPaths, ...again } = await findNetworkFiles(folder);
  assert.deepEqual(onnxPaths, [], 'what an import made of a checkpoint is made again');
  assert.match((await newestCheckpoint({ ...again, onnxPaths }))?.path ?? '', /unet_epoch_200\.pth$/);
  const { folder: other } = await openWorkspace(t);
  await place(other, 'best.pt', 'early.ckpt', 'syncnet.pth');
  for (const [name, time] of [
    ['best.pt', 2000],
    ['early.ckpt', 1000],
  ] as const)
    await utimes(join(other, name), time, time);
  const latest = { path: join(other, 'best.pt'), why: 'written last of 2' };
  assert.deepEqual(await newestCheckpoint(await findNetworkFiles(other)), latest);
  const { folder: bare } = await openWorkspace(t);
  await place(bare, 'syncnet.pth');
  assert.equal(await newestCheckpoint(await findNetworkFiles(bare)), undefined);
});
