import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { childEnvironment } from '../../shared/process/environment.ts';
import type { AvatarSources } from '../../worker/prepared/contract.ts';
import { prepareAvatar } from '../../worker/prepared/prepare-avatar.ts';
import { PreparedAvatars } from '../../worker/prepared/prepared-avatars.ts';
import { until } from '../support/until.ts';
import { openFolder, writeSources } from './sources.ts';

const PICTURES = 16;

/** What was written to a preparation's log. */
type Line = { readonly level: 'info' | 'warn'; readonly what: string; readonly facts: Record<string, unknown> };

async function openAvatar(t: TestContext, folder: string, avatar: AvatarSources, reserveGb = 0) {
  const avatars = new PreparedAvatars({ folder, quality: 75, processes: 0, reserveGb }, 1);
  const { pictures, release } = await avatars.open('ann', avatar, 160);
  t.after(release);
  const lines: Line[] = [];
  const logTo = (level: Line['level']) => (facts: unknown, what?: string) => {
    lines.push({ level, what: what ?? '', facts: facts as Line['facts'] });
  };
  const log = { info: logTo('info'), warn: logTo('warn') };
  const prepare = async (signal = new AbortController().signal, fewPixels = 0) =>
    await prepareAvatar(pictures, { modelId: 'ann', folder, reserveGb, processes: 1, fewPixels, log }, signal);
  return { pictures, lines, prepare };
}

/** Name → content of what is in a folder of prepared pictures, without drafts. */
async function contentsOf(folder: string): Promise<Map<string, string>> {
  const names = await readdir(folder, { recursive: true }).catch((): string[] => []);
  const files = names.filter((name) => name.endsWith('.picture') && !path.basename(name).startsWith('.')).sort();
  return new Map(
    await Promise.all(
      files.map(async (name) => [name, (await readFile(path.join(folder, name))).toString('base64')] as const),
    ),
  );
}

function startPreparing(prepared: string, pictures: string, processes: number): ChildProcess {
  const entry = path.join(import.meta.dirname, 'preparing.ts');
  return spawn(process.execPath, [entry, prepared, pictures, ...[PICTURES, processes].map(String)], {
    env: childEnvironment({}),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

describe('the preparation of an avatar', () => {
  it('makes in processes what is made on the spot, byte by byte, and says how far it is', async (t) => {
    const folder = await openFolder(t);
    const avatar = await writeSources(folder, PICTURES);
    const [there, here] = [path.join(folder, 'there'), path.join(folder, 'here')];
    const inProcesses = await openAvatar(t, there, avatar);
    await inProcesses.prepare();
    assert.deepEqual(inProcesses.pictures.share, { done: PICTURES, total: PICTURES });
    const onTheSpot = await openAvatar(t, here, avatar);
    await onTheSpot.prepare(undefined, Number.POSITIVE_INFINITY);
    const made = await contentsOf(here);
    assert.equal(made.size, PICTURES);
    assert.deepEqual(await contentsOf(there), made);
    const [first, last] = [inProcesses.lines[0], inProcesses.lines.at(-1)];
    assert.deepEqual([first?.facts.done, first?.facts.total], [0, PICTURES]);
    assert.deepEqual([last?.facts.done, last?.what], [PICTURES, 'prepared the pictures of an avatar']);
    const again = await openAvatar(t, there, avatar);
    assert.deepEqual(again.pictures.missing, [], 'the hashes of the sources are remembered');
    await again.prepare();
    assert.deepEqual(again.lines, []);
  });

  it('leaves whole files when it is killed at any moment, ends its processes, and goes on the next time', async (t) => {
    const folder = await openFolder(t);
    const avatar = await writeSources(folder, PICTURES);
    const [killed, whole] = [path.join(folder, 'killed'), path.join(folder, 'whole')];
    await (await openAvatar(t, whole, avatar)).prepare(undefined, Number.POSITIVE_INFINITY);
    const expected = await contentsOf(whole);
    for (const enough of [1, 8]) {
      const child = startPreparing(killed, folder, 2);
      // Its own processes hold the other ends as well: they close when the last of them has ended.
      const closed = once(child, 'close');
      await until('some pictures are there', async () => (await contentsOf(killed)).size >= enough || hasEnded(child));
      child.kill('SIGKILL');
      await closed;
      for (const [name, content] of await contentsOf(killed)) assert.ok(content === expected.get(name), name);
    }
    const { pictures, prepare } = await openAvatar(t, killed, avatar);
    await prepare();
    assert.equal(pictures.share.done, PICTURES);
    assert.deepEqual(await contentsOf(killed), expected);
  });

  it('may be done by two at once', async (t) => {
    const folder = await openFolder(t);
    const avatar = await writeSources(folder, PICTURES);
    const shared = path.join(folder, 'shared');
    const both = [1, 1].map((processes) => startPreparing(shared, folder, processes));
    const said = both.map((child) => child.stdout?.toArray());
    await Promise.all(both.map((child) => once(child, 'close')));
    const shares = await Promise.all(
      said.map(async (text) => JSON.parse(Buffer.concat((await text) ?? []).toString())),
    );
    assert.deepEqual(shares, Array(2).fill({ done: PICTURES, total: PICTURES }));
    const alone = path.join(folder, 'alone');
    await (await openAvatar(t, alone, avatar)).prepare(undefined, Number.POSITIVE_INFINITY);
    assert.deepEqual(await contentsOf(shared), await contentsOf(alone));
  });

  it('names a picture that cannot be used and prepares the others', async (t) => {
    const folder = await openFolder(t);
    const avatar = await writeSources(folder, 4);
    await writeFile(avatar.source(2).background, 'no picture');
    const { pictures, lines, prepare } = await openAvatar(t, path.join(folder, 'prepared'), avatar);
    await prepare();
    assert.deepEqual(pictures.missing, [2]);
    const [warning] = lines.filter(({ level }) => level === 'warn');
    assert.equal(warning?.facts.picture, 2);
    assert.match(String(warning?.facts.reason), /2\.png cannot be read/);
  });

  it('ends at the first picture when the folder cannot be written, and does not claim to be done', async (t) => {
    const folder = await openFolder(t);
    const avatar = await writeSources(folder, 4);
    await writeFile(path.join(folder, 'a-file'), '');
    const { pictures, lines, prepare } = await openAvatar(t, path.join(folder, 'a-file'), avatar);
    await prepare();
    assert.equal(pictures.share.done, 0);
    assert.equal(lines.at(-1)?.what, 'pictures of an avatar are left unprepared');
  });

  it('keeps no file on a disk that is short, and gives the pictures all the same', async (t) => {
    const folder = await openFolder(t);
    const avatar = await writeSources(folder, 4);
    const place = path.join(folder, 'prepared');
    const { pictures, lines, prepare } = await openAvatar(t, place, avatar, 1e6);
    await prepare();
    assert.equal(lines.at(-1)?.what, 'pictures of an avatar are left unprepared');
    const picture = await pictures.picture(3);
    assert.equal((await contentsOf(place)).size, 0);
    assert.equal(pictures.share.done, 0);
    const roomy = await openAvatar(t, place, avatar);
    assert.deepEqual(picture, await roomy.pictures.picture(3));
    assert.equal((await contentsOf(place)).size, 1);
  });

  it('ends when its signal is aborted', async (t) => {
    const folder = await openFolder(t);
    const { pictures, lines, prepare } = await openAvatar(
      t,
      path.join(folder, 'prepared'),
      await writeSources(folder, 4),
    );
    await prepare(AbortSignal.abort());
    assert.equal(pictures.share.done, 0);
    assert.ok(!lines.some(({ level }) => level === 'warn'));
  });
});

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}
