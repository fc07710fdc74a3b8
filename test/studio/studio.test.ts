import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { NodeFarmClient } from '../../client/node/farm-client.ts';
import { hashApiKey } from '../../shared/api-keys.ts';
import { qualityFindings } from '../../worker/report/numbers.ts';
import { reportPage } from '../../worker/report/page.ts';
import { QUALITY, REPORT } from '../report/sample-report.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { SMALL_MODEL, SMALL_PICTURES } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';
import { keepShot, NO_BROWSER, startBrowser } from './browser.ts';

const PHONE = { width: 390, height: 800 };
const DESK = { width: 1100, height: 800 };
const VIDEO = 'document.querySelector("video")';
const OPERATOR = 'an-operator-key-of-this-test';
const RENDERER = 'a-render-key-of-this-test';
const KEYS = [
  { name: 'operator', sha256: hashApiKey(OPERATOR), role: 'operate' },
  { name: 'renderer', sha256: hashApiKey(RENDERER), role: 'render' },
];
const PATHS = ['/', '/live', '/renders', '/avatars', '/avatars/ann', '/farm'];

describe('the studio, in Chromium', { skip: NO_BROWSER }, () => {
  let farm: TestFarm;
  let browser: Browser;
  let page: Page;
  let speech = '';
  /** The network of the model "frail", which is no network at first. */
  let frailNetwork = '';
  /** Address of a render that has ended, in the studio. */
  let finished = '';
  /** What the page complained of. */
  const complaints: string[] = [];

  before(async () => {
    frailNetwork = path.join(await mkdtemp(path.join(tmpdir(), 'studio-test-')), 'frail.onnx');
    await writeFile(frailNetwork, 'this is no ONNX file');
    const frail = { ...SMALL_MODEL, model_path: frailNetwork };
    const models = { ann: SMALL_MODEL, broken: { ...SMALL_MODEL, model_path: 'nowhere.onnx' }, frail };
    farm = await startFarm({ models, auth: { keys: KEYS } });
    speech = path.join(farm.folder, 'speech.wav');
    await writeWav(speech, syllables(4));
    browser = await startBrowser(speech);
    const context = await browser.newContext({ viewport: DESK, permissions: ['microphone'] });
    page = await context.newPage();
  });
  after(async () => {
    await browser?.close();
    await farm?.[Symbol.asyncDispose]();
    await rm(path.dirname(frailNetwork), { recursive: true, force: true });
  });

  const open = async (hash: string) => {
    await page.goto(`${farm.url}/#${hash}`);
    await page.getByRole('main').getByRole('heading', { level: 1 }).waitFor();
  };

  /** Waits until an expression is true in the page; the page's policy keeps Playwright's own way of it out. */
  const holds = (expression: string) => until(expression, async () => Boolean(await page.evaluate(expression)));
  const signIn = async (key: string) => {
    await page.getByLabel('API key').fill(key);
    await page.getByRole('button', { name: 'Sign in' }).click();
  };

  /** As if a file had been dragged from another program. */
  const drop = async (bytes: Buffer, name: string) => {
    const zone = page.locator('.drop');
    const dataTransfer = await page.evaluateHandle(
      `(() => {
        const bytes = Uint8Array.from(atob('${bytes.toString('base64')}'), (char) => char.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], '${name}', { type: 'audio/wav' }));
        return transfer;
      })()`,
    );
    await zone.dispatchEvent('dragover', { dataTransfer });
    await zone.dispatchEvent('drop', { dataTransfer });
  };

  /** Fails for what axe finds serious on the page, and for a page wider than the window. */
  const findFaults = async (hash: string, rules: string, at = page) => {
    // What passes is not collected, and only what is serious leaves the page: that takes most of the time.
    const found = await at.evaluate(`axe.run({ resultTypes: ['violations'], ${rules} }).then(({ violations }) =>
      violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))
        .map(({ id, nodes }) => [id, nodes[0].html]))`);
    assert.deepEqual([hash, found], [hash, []]);
    const width = await at.evaluate('document.documentElement.scrollWidth');
    assert.ok(Number(width) <= (at.viewportSize()?.width ?? 0), `${hash} is ${width} wide`);
  };

  it('lets a key in that may only render, and says what it may not see', async () => {
    await page.goto(`${farm.url}/#/farm`);
    await signIn(RENDERER);
    await page.getByText('may not see the GPUs').waitFor();
    assert.equal(new URL(page.url()).hash, '#/farm', 'it is where it was before');
    assert.equal(await page.getByRole('link', { name: 'Queues' }).count(), 0);
    assert.equal((await page.request.get(`${farm.url}/v1/queues/history`)).status(), 403);
    await keepShot(page, 'farm-forbidden');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await signIn(OPERATOR);
    await page.getByRole('link', { name: 'Queues' }).waitFor();
    page.on('pageerror', ({ message }) => complaints.push(message));
    page.on('console', (line) => {
      // There is no newest picture before the first one, and when the render has just ended; a test cuts events off.
      const isExpected = /\/(preview|events)$/.test(line.location().url);
      if (line.type() === 'error' && !isExpected) complaints.push(`${line.location().url} ${line.text()}`);
    });
  });

  it('makes a video of a sound that was dropped, which plays', async () => {
    await open('/');
    await drop(await readFile(speech), 'dropped.wav');
    await page.getByText('dropped.wav').waitFor();
    await page.getByRole('button', { name: 'Choose another' }).click();
    await page.locator('input[type=file]').setInputFiles(speech);
    await page.getByText('speech.wav').waitFor();
    await drop(await readFile(speech), 'speech.wav');
    await page.getByRole('radio', { name: 'ann', exact: true }).check();
    assert.ok(await page.getByRole('radio', { name: /broken/ }).isDisabled());
    await page.getByText('More options').click();
    await page.getByLabel('Labels, as key=value').fill('project=spring');
    await page.getByLabel('Walk over the pictures').selectOption('there and back');
    await page.getByLabel('Silence after, ms').fill('500');
    await page.getByLabel('End with the picture it begins with').check();
    await keepShot(page, 'make');
    await page.getByRole('button', { name: 'Render', exact: true }).click();
    await page.locator('video').waitFor();
    await holds(`${VIDEO}.readyState >= 2`);
    assert.ok(Math.abs(Number(await page.evaluate(`${VIDEO}.duration`)) - 4.5) < 0.1);
    assert.equal(await page.evaluate(`${VIDEO}.play().then(() => true)`), true);
    await page.getByRole('heading', { name: 'How it looks' }).waitFor();
    for (const drawing of [/^Frames of the video/, /^The voice/, /^Which step/]) {
      const picture = page.getByRole('img', { name: drawing });
      await picture.scrollIntoViewIfNeeded();
      await holds(`[...document.images].some((image) => ${drawing}.test(image.alt) && image.naturalWidth > 0)`);
    }
    await page.getByText('project=spring').waitFor();
  });

  it('sends its sound again, out of the video when the page no longer has the file', async () => {
    const first = page.url();
    finished = first;
    await page.reload();
    await page.getByText('With the sound of the finished video').waitFor();
    await page.getByRole('combobox', { name: 'Avatar' }).selectOption('ann');
    await page.getByRole('button', { name: 'Send again' }).click();
    await page.waitForURL((url) => url.href !== first);
    await page.locator('video').waitFor();
    await page.getByText('project=spring').waitFor();
  });

  it('finds it again in the list, by keyboard alone', async () => {
    await open('/renders');
    await page.getByLabel('Label, as key=value').fill('project=autumn');
    await page.keyboard.press('Tab');
    await page.getByText('No render matches').waitFor();
    await page.getByLabel('Label, as key=value').fill('project=spring');
    await page.keyboard.press('Tab');
    await page.locator('tbody tr').nth(1).waitFor();
    await page.getByRole('searchbox').fill('nothing of this name');
    await page.getByText('No render matches').waitFor();
    await page.getByRole('searchbox').fill('SPEECH project=spring');
    await page.locator('tbody tr').nth(1).waitFor();
    for (let presses = 0; presses < 3; presses++) await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.locator('video').waitFor();
  });

  it('records the microphone, and shows the render by a clock where its events do not come through', async () => {
    const cut = '**/v1/renders/*/events';
    await page.route(cut, (route) => route.abort());
    await open('/');
    await page.getByRole('button', { name: 'Record' }).click();
    await page.getByRole('button', { name: /^Stop \(0:0[1-9]\)/ }).click();
    await page.getByText('recording.webm').waitFor();
    await page.getByRole('radio', { name: 'ann', exact: true }).check();
    await page.getByRole('button', { name: 'Render', exact: true }).click();
    await page.locator('video').waitFor();
    await holds(`${VIDEO}.duration > 0.5`);
    await page.unroute(cut);
  });

  it('shows a model that a GPU has set aside, puts it back, and takes up what failed of it', async () => {
    const client = new NodeFarmClient(farm.url, OPERATOR);
    for (let times = 0; times < 3; times++) await assert.rejects(client.loadModel('frail'), { code: 'model_unusable' });
    const { id } = await client.submit(speech, { modelId: 'frail', output: 'frames', to: 10 });
    await assert.rejects(client.finished(id), { code: 'model_unusable' });
    await open('/farm');
    await page.getByText(/^frail was set aside .*frail\.onnx/).waitFor();
    await keepShot(page, 'farm-blocked');
    await copyFile(SMALL_MODEL.model_path, frailNetwork);
    await page.getByRole('button', { name: 'Try again, GPU 0' }).click();
    await page.getByText(/^frail was set aside/).waitFor({ state: 'detached' });
    await open(`/renders/${id}`);
    await page.getByText(/frail\.onnx/).waitFor();
    await keepShot(page, 'render-failed');
    await page.getByRole('button', { name: 'Retry' }).click();
    await page.getByRole('button', { name: 'Play the frames' }).click();
    await holds(`document.querySelector('img.frames').currentSrc.endsWith('mjpeg')`);
    await holds(`document.querySelector('img.frames').naturalWidth === 64`);
    await page.getByRole('button', { name: 'Back to the first frame' }).click();
    await holds(`document.querySelector('img.frames').currentSrc.endsWith('frames/0')`);
  });

  it('shows an avatar with its pictures and crop rects', async () => {
    await open('/avatars');
    await page.getByRole('link', { name: 'ann' }).click();
    await page.getByRole('img', { name: 'Picture 0: 8, 4 – 48, 44' }).waitFor();
    assert.equal(
      await page
        .getByRole('listitem')
        .filter({ has: page.getByRole('img') })
        .count(),
      SMALL_PICTURES,
    );
  });

  it('speaks live what the microphone hears', async () => {
    await open('/live');
    await page.getByRole('radio', { name: 'ann', exact: true }).check();
    await page.getByRole('button', { name: 'Start the microphone' }).click();
    await page.getByText('The avatar says what').waitFor();
    await holds('document.querySelector("canvas").width === 64');
    await keepShot(page, 'live');
    await page.getByRole('button', { name: 'Interrupt' }).click();
    await page.getByText(/Interrupted at frame \d+/).waitFor();
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByRole('button', { name: 'Start the microphone' }).waitFor();
  });

  it('is where the jobs on the dashboard lead to', async () => {
    const answer = await page.request.get(`${farm.url}/dashboard/api/queues?activeQueue=gpu-0&status=completed`);
    const { queues } = await answer.json();
    const jobs = queues.flatMap((queue: { jobs: { externalUrl?: { href: string } }[] }) => queue.jobs);
    const leads = jobs.map(({ externalUrl }: { externalUrl?: { href: string } }) => externalUrl?.href);
    assert.ok(leads.includes(`/${new URL(finished).hash}`), leads.join());
    // A page of its own: what Bull Board's complains of is not the studio's.
    const dashboard = await page.context().newPage();
    await dashboard.goto(`${farm.url}/dashboard/queue/gpu-0?status=completed`);
    const title = dashboard.getByText(/^segment 1 of 1/);
    await title.first().waitFor();
    await keepShot(dashboard, 'dashboard');
    await dashboard.close();
  });

  it('drains a GPU and puts it back into service', async () => {
    await open('/farm');
    await page.getByRole('button', { name: 'Drain GPU 0' }).click();
    await page.getByText('drained').waitFor();
    await page.getByRole('button', { name: 'Resume GPU 0' }).click();
    await page.getByText('ready').waitFor();
    await page.getByRole('cell', { name: 'gpu-0' }).waitFor();
    // The farm has looked at its queues since it was started, and not only since this page is open.
    const charts = `[...document.querySelectorAll('.chart path')].map((path) => path.getAttribute('d'))`;
    await holds(`${charts}.filter((line) => line.includes('L')).length >= 3`);
    await page.getByText(/frames\/s, last seen/).waitFor();
  });

  it('has no serious fault for those who cannot see it, on a phone and in the dark too', async () => {
    await open('/');
    await page.evaluate(axe.source);
    for (const hash of [...PATHS, new URL(finished).hash.slice(1)]) {
      const name = hash.startsWith('/renders/') ? '-render' : hash.replaceAll('/', '-');
      await page.emulateMedia({ colorScheme: 'light' });
      await page.setViewportSize(DESK);
      await open(hash);
      await holds(`!document.body.innerText.includes('Loading …')`);
      await findFaults(hash, '');
      await keepShot(page, `light${name}`);
      // In the dark only the colours are others.
      await page.emulateMedia({ colorScheme: 'dark' });
      await page.setViewportSize(PHONE);
      await findFaults(hash, 'runOnly: ["color-contrast"]');
      await keepShot(page, `dark${name}`);
    }
    assert.deepEqual(complaints, []);
  });

  it('finds no serious fault either in the page that an import leaves, in the light and in the dark', async () => {
    const report = await page.context().newPage();
    await report.setContent(reportPage({ ...REPORT, findings: qualityFindings(QUALITY) }));
    await report.evaluate(axe.source);
    for (const colorScheme of ['light', 'dark'] as const) {
      await report.emulateMedia({ colorScheme });
      await report.setViewportSize(colorScheme === 'light' ? DESK : PHONE);
      await findFaults(`the report, ${colorScheme}`, '', report);
    }
    await report.close();
  });
});
