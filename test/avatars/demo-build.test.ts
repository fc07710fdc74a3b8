import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import sharp from 'sharp';
import { buildFolder } from '../../avatars/build-folder.ts';
import { buildDemoAvatar } from '../../avatars/demo/build.ts';
import { mouthOpenArea } from '../../avatars/demo/mouth-area.ts';
import { openDemoAvatar, readRects } from './demo-avatar.ts';

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'demo-avatar-'));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Eight seconds of computing: beside them, every new machine builds it from nothing. */
const SKIP_BUILDS = process.env.DEMO_BUILDS ? undefined : 'set DEMO_BUILDS=1';

test('two builds are the same, byte for byte', { skip: SKIP_BUILDS }, async () => {
  const usual = await buildDemoAvatar();
  await inFolder(async (folder) => {
    const again = await buildDemoAvatar(join(folder, 'build'));
    assert.equal(again.built, true);
    assert.equal(await readFile(again.manifestPath, 'utf8'), await readFile(usual.manifestPath, 'utf8'));
  });
});

test('a build that is up to date is left alone', async () => {
  const { manifestPath } = await buildDemoAvatar();
  const before = await stat(manifestPath);
  assert.equal((await buildDemoAvatar()).built, false);
  assert.equal((await stat(manifestPath)).mtimeMs, before.mtimeMs);
});

test('the manifest says what the avatar is and names every file', async () => {
  const { manifestPath } = await buildDemoAvatar();
  const manifest = JSON.parse(await readFile(manifestPath, 'utf8'));
  assert.equal(manifest.kind, 'procedural');
  assert.match(manifest.about, /Nothing here was trained/);
  assert.equal(Object.keys(manifest.sha256).length, manifest.frames.count + 3);
});

test('there is one crop rect a frame, square and inside the picture', async () => {
  const { cropRectsPath, framesDir, frameCount } = await buildDemoAvatar();
  const rects = await readRects(cropRectsPath);
  assert.equal(rects.length, frameCount);
  assert.equal((await readdir(framesDir)).length, frameCount);
  for (const { x1, y1, x2, y2 } of rects) {
    assert.ok(x1 >= 0 && y1 >= 0 && x2 <= 1280 && y2 <= 720);
    assert.equal(x2 - x1, 224);
    assert.equal(y2 - y1, 224);
    assert.ok([x1, y1, x2, y2].every(Number.isInteger));
  }
});

test('the frames are pictures of 1280 × 720', async () => {
  const { framesDir } = await buildDemoAvatar();
  for (const name of ['frame_000000.jpg', 'frame_000099.jpg']) {
    const { width, height, format } = await sharp(join(framesDir, name)).metadata();
    assert.deepEqual({ width, height, format }, { width: 1280, height: 720, format: 'jpeg' });
  }
});

test('the drawn mouth is shut in every frame, also after strong compression', async () => {
  const avatar = await openDemoAvatar();
  for (let index = 0; index < avatar.frameCount; index += 9) {
    const picture = await avatar.background(index);
    const raw = { width: picture.width, height: picture.height, channels: 3 } as const;
    const squeezed = await sharp(await sharp(picture.data, { raw }).jpeg({ quality: 40 }).toBuffer())
      .raw()
      .toBuffer();
    assert.ok(mouthOpenArea(picture, avatar.rect(index)) < 180);
    assert.ok(mouthOpenArea({ ...picture, data: squeezed }, avatar.rect(index)) < 220);
  }
});

test('a folder is replaced as a whole, and a failed build leaves the old one', async () => {
  await inFolder(async (folder) => {
    const outDir = join(folder, 'out');
    const build = (stamp: string, name: string) => {
      const write = async (to: string) => {
        await writeFile(join(to, name), stamp);
        return {};
      };
      return buildFolder({ outDir, stamp, write });
    };
    await build('1', 'old.txt');
    await build('2', 'new.txt');
    const failing = buildFolder({ outDir, stamp: '3', write: () => Promise.reject(new Error('no space')) });
    await assert.rejects(failing, /no space/);
    assert.deepEqual((await readdir(outDir)).sort(), ['manifest.json', 'new.txt']);
    assert.deepEqual(await readdir(folder), ['out']);
  });
});

test('builds side by side leave one whole folder', async () => {
  await inFolder(async (folder) => {
    const outDir = join(folder, 'out');
    const write = async (to: string) => {
      await writeFile(join(to, 'file.txt'), 'same');
      return {};
    };
    await Promise.all(Array.from({ length: 6 }, () => buildFolder({ outDir, stamp: '1', write })));
    assert.deepEqual((await readdir(outDir)).sort(), ['file.txt', 'manifest.json']);
    assert.deepEqual(await readdir(folder), ['out']);
  });
});
