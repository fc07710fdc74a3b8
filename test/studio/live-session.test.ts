import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { servePage, startProject } from '../client/packed-project.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { SMALL_MODEL, SMALL_PICTURE } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { NO_BROWSER, startBrowser } from './browser.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const run = promisify(execFile);

interface LiveFigures {
  readonly shown: number;
  readonly dropped: number;
  readonly offsetsMs: readonly number[];
}

let farm: TestFarm;
let browser: Browser;
let sound = '';
let speech = '';
/** A project with the packed client, whose page is of another origin than the farm. */
let project: Awaited<ReturnType<typeof startProject>>;
const elsewhere = await servePage(() => project.folder);

before(async () => {
  farm = await startFarm({ models: { ann: SMALL_MODEL }, http: { allowed_origins: [elsewhere.url] } });
  sound = path.join(farm.folder, 'speech.wav');
  await writeWav(sound, syllables(3));
  speech = (await readFile(sound)).toString('base64');
  project = await startProject();
  if (!NO_BROWSER) browser = await startBrowser(sound);
});
after(async () => {
  await browser?.close();
  await elsewhere[Symbol.asyncDispose]();
  await project?.[Symbol.asyncDispose]();
  await farm?.[Symbol.asyncDispose]();
});

describe('the live session of a page, in Chromium', { skip: NO_BROWSER }, () => {
  let page: Page;

  before(async () => {
    const context = await browser.newContext({ permissions: ['microphone'] });
    page = await context.newPage();
    page.on('pageerror', ({ message }) => assert.fail(message));
    await page.goto(farm.url);
    // A browser plays no sound before the user has touched the page.
    await page.mouse.click(5, 5);
  });

  /** Runs lines in the page with an open `session` that draws on `canvas`. */
  const inSession = async <T>(lines: string): Promise<T> =>
    (await page.evaluate(`(async () => {
      const { LiveSession } = await import('/studio/live/live-session.ts');
      const canvas = document.createElement('canvas');
      const until = async (holds) => { while (!holds()) await new Promise((next) => setTimeout(next, 20)); };
      const session = await LiveSession.open({ canvas });
      try { ${lines} } finally { await session.close(); }
    })()`)) as T;

  it('says a file, and draws its frames as their sound is heard', async (t) => {
    const { figures, isDrawn } = await inSession<{ figures: LiveFigures; isDrawn: boolean }>(`
      const wav = await (await fetchOf('${speech}')).blob();
      await session.play(wav);
      const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
      return { figures: session.figures, isDrawn: pixels.some((value, index) => index % 4 < 3 && value > 0) };
      async function fetchOf(base64) {
        const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
        return new Response(bytes);
      }`);
    assert.ok(isDrawn);
    const sorted = figures.offsetsMs.toSorted((a, b) => a - b);
    const at = (share: number) => Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN);
    t.diagnostic(
      `${figures.shown} shown, ${figures.dropped} dropped, picture behind sound: ${at(0.5)} ms (p50), ${at(0.95)} ms (p95)`,
    );
    assert.ok(figures.shown > 20, `${figures.shown} frames were shown`);
  });

  it('follows the microphone, and falls silent when it is interrupted', async () => {
    const { stoppedAt, before, later } = await inSession<{ stoppedAt: number; before: number; later: number }>(`
      await session.listen();
      await until(() => session.figures.shown > 10);
      const before = session.figures.shown;
      const stoppedAt = await session.interrupt();
      await until(() => session.figures.shown > before + 5);
      return { stoppedAt, before, later: session.figures.shown };`);
    assert.ok(stoppedAt >= before, `${before} frames were shown, it stopped at ${stoppedAt}`);
    assert.ok(later > before);
  });

  it('says what the farm says when it cannot be opened', async () => {
    const message = await page.evaluate(`import('/studio/live/live-session.ts').then(({ LiveSession }) =>
      LiveSession.open({ canvas: document.createElement('canvas'), modelId: 'nobody' })).catch(({ code }) => code)`);
    assert.equal(message, 'model_unknown');
  });
});

describe('the packed client', () => {
  it('has types, with which every example of its documentation compiles', async () => {
    // Every example of the documentation compiles.
    const examples = [...readFileSync(path.join(ROOT, 'docs/client.md'), 'utf8').matchAll(/^```ts\n(.*?)^```/gms)];
    assert.ok(examples.length >= 5);
    const names = await Promise.all(
      examples.map(async ([, text = ''], index) => {
        const name = `example-${index}.ts`;
        await writeFile(path.join(project.folder, name), text);
        return name;
      }),
    );
    const typeRoots = path.join(ROOT, 'node_modules/@types');
    const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--lib', 'es2024,dom'];
    await run(
      path.join(ROOT, 'node_modules/.bin/tsc'),
      [...options, '--typeRoots', typeRoots, '--types', 'node', ...names],
      { cwd: project.folder },
    ).catch((error: { stdout?: string }) => assert.fail(error.stdout));
  });

  it('runs in a project that has nothing else but zod', async () => {
    await writeFile(
      path.join(project.folder, 'main.js'),
      `import { NodeFarmClient } from 'lipsync-farm-client/node';
       import { FarmClient, FarmError } from 'lipsync-farm-client';
       const { id } = await new NodeFarmClient(process.argv[2]).submit('package.json', { labels: { from: 'packed' } });
       const error = await new FarmClient(process.argv[2]).get('nothing').catch((error) => error);
       console.log(JSON.stringify({ id, isFarmError: error instanceof FarmError, code: error.code }));`,
    );
    const { stdout } = await run(process.execPath, ['main.js', farm.url], { cwd: project.folder });
    const { id, ...rest } = JSON.parse(stdout);
    assert.deepEqual(rest, { isFarmError: true, code: 'request_invalid' });
    assert.deepEqual((await farm.client.get(id)).labels, { from: 'packed' });
    assert.equal((await farm.client.get(id)).file_name, 'package.json');
  });

  it('renders, shows frames and streams live in a page of another origin', { skip: NO_BROWSER }, async () => {
    const page = await browser.newPage();
    page.on('pageerror', ({ message }) => assert.fail(message));
    await page.goto(elsewhere.url);
    const seen = (await page.evaluate(`(async () => {
      const { FarmClient, FarmError } = await import('lipsync-farm-client');
      const farm = new FarmClient('${farm.url}');
      const bytes = Uint8Array.from(atob('${speech}'), (char) => char.charCodeAt(0));
      const { id } = await farm.submit(new File([bytes], 'page.wav'), { output: 'frames', from: 5, to: 20 });
      let last;
      for await (const view of farm.watch(id)) last = view;
      const frames = [];
      for await (const { index, data } of farm.frames(id, { from: 12 })) {
        frames.push([index, (await createImageBitmap(new Blob([data]))).width]);
      }
      const events = [];
      for await (const { type } of farm.eventsOf(id)) events.push(type);

      const session = await farm.live({ latency: 'LOW' });
      const messages = (async () => {
        const types = [];
        for await (const { type } of session) types.push(type);
        return types;
      })();
      const samples = new Float32Array(32000).map((_, at) => Math.sin(at / 20) / 4);
      await session.send(samples);
      session.end();
      const live = await messages;

      const unread = await farm.live({ mostUnreadBytes: 3000 });
      let refusal;
      for (let seconds = 0; seconds < 600 && !refusal; seconds += 2) {
        await unread.send(samples).catch((error) => { refusal = error; });
      }
      unread.close();
      const missing = await farm.get('nothing').catch((error) => error);
      return {
        file: last.file_name, status: last.status, frames, events: [events[0], events.at(-1)],
        live: [live[0], live.filter((type) => type === 'frame').length, live.at(-1)],
        refusal: refusal?.code, missing: [missing instanceof FarmError, missing.code],
      };
    })()`)) as Record<string, unknown>;
    assert.deepEqual(seen, {
      file: 'page.wav',
      status: 'completed',
      frames: Array.from({ length: 8 }, (_, at) => [12 + at, SMALL_PICTURE.width]),
      events: ['render.queued', 'render.completed'],
      live: ['opened', 50, 'ended'],
      refusal: 'frames_unread',
      missing: [true, 'request_invalid'],
    });
    await page.close();
  });
});
