import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startFarm } from '../support/farm.ts';
import { inspectVideo } from '../support/ffprobe.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { describeNodeExample } from './node-example-tests.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Blocks that a reader pastes into a terminal beside a running farm. */
const PASTED_BLOCK = /```sh\n(.*?)```/gs;
const DEFAULT_HTTP = '127.0.0.1:8080';
const DEFAULT_GRPC = '127.0.0.1:50053';

// The documentation asks for the demo avatar; here another one stands under its name.
const farm = await startFarm({ models: { demo: SMALL_MODEL } });
after(async () => await farm[Symbol.asyncDispose]());

describe('the README, pasted block by block', () => {
  /** A folder as a clone of the project is, with the config.yaml of a farm that runs. */
  let clone: string;

  before(async () => {
    clone = path.join(farm.folder, 'clone');
    await mkdir(clone);
    const names = (await readdir(ROOT)).filter((name) => !['data', 'config.yaml', '.git'].includes(name));
    await Promise.all(names.map((name) => symlink(path.join(ROOT, name), path.join(clone, name))));
    await symlink(path.join(farm.folder, 'config.yaml'), path.join(clone, 'config.yaml'));
  });

  it('does what it says, each block after the one before', async () => {
    const text = await readFile(path.join(ROOT, 'README.md'), 'utf8');
    const blocks = [...text.matchAll(PASTED_BLOCK)].map(([, block = '']) => block);
    assert.ok(blocks.length >= 8, `${blocks.length} blocks`);
    const script = blocks
      .map((block) => block.replaceAll(DEFAULT_HTTP, new URL(farm.url).host).replaceAll(DEFAULT_GRPC, farm.grpcAddress))
      .join('\necho\n');
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', script], { cwd: clone, maxBuffer: 2 ** 24 });

    assert.equal(stdout.match(/"render_id":/g)?.length, 1, 'the receipt');
    assert.match(stdout, /"code":"model_unknown"/);
    const { video, audioPackets } = await inspectVideo(path.join(clone, 'video.mp4'));
    assert.equal(video.nb_frames, '232');
    assert.ok(audioPackets > 0);
    for (const file of ['frame-100.jpg', 'frames/frame-0000.jpg']) {
      const bytes = await readFile(path.join(clone, file));
      assert.deepEqual([...bytes.subarray(0, 2)], [0xff, 0xd8], `${file} is a JPEG`);
    }
  });
});

describeNodeExample(farm);
