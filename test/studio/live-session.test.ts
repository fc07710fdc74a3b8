import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { Browser } from 'playwright-core';
import sharp from 'sharp';
import { servePage, startProject } from '../client/packed-project.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { SMALL_FACE, SMALL_MODEL, SMALL_PICTURE } from '../support/small-avatar.ts';
import { writeWav } from '../support/sound.ts';
import { NO_BROWSER, startBrowser } from './browser.ts';
import { offsetsOf, type Recorded, recorderScript } from './sound-and-picture.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const run = promisify(execFile);

/** Of sound; where it is set, the picture is measured against the sound: docs/realtime.md has the figures of 25. */
const SECONDS = Number(process.env.LIVE_SECONDS ?? 2);
const SAMPLE_RATE_HZ = 16_000;

let farm: TestFarm;
let browser: Browser;
let sound = '';
let speech = '';
/** A project with the packed client, whose page is of another origin than the farm. */
let project: Awaited<ReturnType<typeof startProject>>;
const elsewhere = await servePage(() => project.folder);
/** A page with the lines of the README, and the sound that they name. */
const site = createServer(async (request, answer) => {
  if (request.url === '/hello.mp3') return answer.end(await readFile(sound));
  answer.setHeader('content-type', 'text/html').end(request.url === '/empty' ? '<canvas></canvas>' : snippet());
}).listen(0, '127.0.0.1');
await once(site, 'listening');
const siteUrl = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;

before(async () => {
  farm = await startFarm({ models: { ann: SMALL_MODEL }, http: { allowed_origins: [elsewhere.url, siteUrl] } });
  sound = path.join(farm.folder, 'speech.wav');
  await writeWav(sound, voice(SECONDS), SAMPLE_RATE_HZ);
  speech = (await readFile(sound)).toString('base64');
  project = await startProject();
  if (!NO_BROWSER) browser = await startBrowser(sound);
});
after(async () => {
  await browser?.close();
  site.close();
  await elsewhere[Symbol.asyncDispose]();
  await project?.[Symbol.asyncDispose]();
  await farm?.[Symbol.asyncDispose]();
});

describe('live sessions in a page of another origin, in Chromium', { skip: NO_BROWSER }, () => {
  /** The same sound and its frames, as they are in a render; for a measurement. */
  let rendered: Recorded | undefined;

  before(async () => {
    if (process.env.LIVE_SECONDS) rendered = await renderedAs(farm, sound);
  });

  const openPage = async (address: string) => {
    const context = await browser.newContext({ permissions: ['microphone'] });
    const page = await context.newPage();
    page.on('pageerror', ({ message }) => assert.fail(message));
    await page.addInitScript(recorderScript(SMALL_FACE));
    await page.goto(`${siteUrl}${address}`);
    // A browser plays no sound before the user has touched the page.
    await page.locator('canvas').click();
    return page;
  };

  /** Checks that there is a speaking face; in a measurement, reports how much later the picture is than the sound. */
  const report = (t: TestContext, recorded: Recorded) => {
    if (rendered) measure(t, rendered, recorded);
    // On a slow machine frames are dropped; those that are drawn speak.
    const brightness = recorded.picture.map(({ value }) => value);
    assert.ok(brightness.length > 10, `${brightness.length} frames were drawn`);
    assert.ok(Math.max(...brightness) - Math.min(...brightness) > 10, 'the face speaks');
  };

  const measure = (t: TestContext, rendered: Recorded, recorded: Recorded) => {
    const offsets = offsetsOf(rendered, recorded, SECONDS * 1000).sort((a, b) => a - b);
    const [early, middle, late] = [0.05, 0.5, 0.95].map((share) => offsets[Math.floor(share * (offsets.length - 1))]);
    t.diagnostic(
      `picture behind sound: ${early?.toFixed(1)}, ${middle?.toFixed(1)}, ${late?.toFixed(1)} ms (p5, p50, p95)`,
    );
    t.diagnostic(`${offsets.length} pieces of two seconds, ${recorded.picture.length} pictures`);
  };

  it('say a file with the lines of the README, and draw the frames with their sound', async (t) => {
    const page = await openPage('/');
    await page.evaluate(`new Promise((said) => {
      const looking = setInterval(() => {
        const heard = recorded().sound.filter(({ value }) => value > 0.01);
        if (heard.length < 2 || heard.at(-1).atMs - heard[0].atMs < ${SECONDS * 1000 - 700}) return;
        clearInterval(looking);
        said();
      }, 200);
    })`);
    report(t, (await page.evaluate('recorded()')) as Recorded);
    await page.context().close();
  });

  it('follow the microphone, played as late as the face is, and fall silent when interrupted', async (t) => {
    const page = await openPage('/empty');
    const { stoppedAt, shown, seen, later } = (await page.evaluate(`(async () => {
      const { LiveSession } = await import('${farm.url}/studio/live/live-session.ts');
      const until = async (holds) => { while (!holds()) await new Promise((next) => setTimeout(next, 20)); };
      const session = await LiveSession.open({ canvas: document.querySelector('canvas') });
      try {
        await session.listen({ monitor: true });
        await until(() => session.figures.shown > ${SECONDS * 25});
        const shown = session.figures.shown;
        const seen = recorded();
        const stoppedAt = await session.interrupt();
        await until(() => session.figures.shown > shown + 5);
        return { stoppedAt, shown, seen, later: session.figures.shown };
      } finally { await session.close(); }
    })()`)) as { stoppedAt: number; shown: number; seen: Recorded; later: number };
    assert.ok(stoppedAt >= shown, `${shown} frames were shown, it stopped at ${stoppedAt}`);
    assert.ok(later > shown);
    report(t, seen);
    await page.context().close();
  });

  it('say what the farm says when they cannot be opened', async () => {
    const page = await openPage('/empty');
    const code = await page.evaluate(`import('${farm.url}/studio/live/live-session.ts').then(({ LiveSession }) =>
      LiveSession.open({ canvas: document.querySelector('canvas'), modelId: 'nobody' })).catch(({ code }) => code)`);
    assert.equal(code, 'model_unknown');
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
    const options = [
      '--noEmit',
      '--strict',
      '--skipDefaultLibCheck',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--lib',
      'es2024,dom',
    ];
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
      // Frames of the first sound come while more of it is sent, a fifth of a second each time.
      for (let times = 0; times < 3000 && !refusal; times++) {
        await unread.send(samples.subarray(0, 3200)).catch((error) => { refusal = error; });
        await new Promise((resolve) => setTimeout(resolve, 20));
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

function snippet(): string {
  const [, lines = ''] = /```html\n(.*?)```/s.exec(readFileSync(path.join(ROOT, 'README.md'), 'utf8')) ?? [];
  assert.match(lines, /LiveSession\.open/);
  return lines.replace('http://127.0.0.1:8080', farm.url);
}

/** A buzzing voice whose loudness never repeats itself, so that it fits to itself in one place only. */
function voice(seconds: number): Float32Array {
  const harmonics = Array.from({ length: 50 }, (_, index) => 130 * (index + 1));
  return Float32Array.from({ length: seconds * SAMPLE_RATE_HZ }, (_, index) => {
    const atS = index / SAMPLE_RATE_HZ;
    const wave = (hz: number) => Math.sin(2 * Math.PI * hz * atS);
    const loudness = Math.max(0, wave(1.71) + wave(2.93) + wave(0.63)) / 3;
    return 0.05 * loudness * harmonics.reduce((sum, hz) => sum + wave(hz), 0);
  });
}

/** The same series as of a page, of a render's own frames and its sound. */
async function renderedAs({ client }: TestFarm, file: string): Promise<Recorded> {
  const { id } = await client.submit(file, { output: 'frames' });
  const { frames } = await client.finished(id);
  const { x1, y1, x2, y2 } = SMALL_FACE;
  const picture = Array.from({ length: frames.total ?? 0 }, async (_, index) => {
    const face = sharp(await client.frame(id, index)).extract({ left: x1, top: y1, width: x2 - x1, height: y2 - y1 });
    const pixels = await face.raw().toBuffer();
    const green = pixels.filter((_, at) => at % 3 === 1);
    return { atMs: index * 40, value: green.reduce((sum, value) => sum + value, 0) / green.length };
  });
  const samples = voice(SECONDS);
  const piece = 64;
  const sound = Array.from({ length: Math.floor(samples.length / piece) }, (_, index) => {
    const heard = samples.subarray(index * piece, (index + 1) * piece);
    const value = Math.sqrt(heard.reduce((sum, sample) => sum + sample * sample, 0) / piece);
    return { atMs: (1000 * index * piece) / SAMPLE_RATE_HZ, value };
  });
  return { sound, picture: await Promise.all(picture) };
}
