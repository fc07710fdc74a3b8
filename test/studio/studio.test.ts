import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { hashApiKey } from '../../shared/api-keys.ts';
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

interface AxeFinding {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string }[];
}

describe('the studio, in Chromium', { skip: NO_BROWSER }, () => {
  let farm: TestFarm;
  let browser: Browser;
  let page: Page;
  let speech = '';
  /** Address of a render that has ended, in the studio. */
  let finished = '';
  /** What the page complained of. */
  const complaints: string[] = [];

  before(async () => {
    const models = { ann: SMALL_MODEL, broken: { ...SMALL_MODEL, model_path: 'nowhere.onnx' } };
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

  it('lets a key in that may only render, and says what it may not see', async () => {
    await page.goto(`${farm.url}/#/farm`);
    await signIn(RENDERER);
    await page.getByText('may not see the GPUs').waitFor();
    assert.equal(new URL(page.url()).hash, '#/farm', 'it is where it was before');
    assert.equal(await page.getByRole('link', { name: 'Queues' }).count(), 0);
    await keepShot(page, 'farm-forbidden');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await signIn(OPERATOR);
    await page.getByRole('link', { name: 'Queues' }).waitFor();
    page.on('pageerror', ({ message }) => complaints.push(message));
    page.on('console', (line) => {
      // There is no newest picture before the first one, and when the render has just ended.
      const isExpected = line.location().url.endsWith('/preview');
      if (line.type() === 'error' && !isExpected) complaints.push(`${line.location().url} ${line.text()}`);
    });
  });

  it('makes a video of a sound that was chosen, which plays', async () => {
    await open('/');
    await page.locator('input[type=file]').setInputFiles(speech);
    await page.getByRole('radio', { name: 'ann', exact: true }).check();
    assert.ok(await page.getByRole('radio', { name: /broken/ }).isDisabled());
    await page.getByText('Labels and priority').click();
    await page.getByLabel('Labels, as key=value').fill('project=spring');
    await keepShot(page, 'make');
    await page.getByRole('button', { name: 'Render', exact: true }).click();
    await page.locator('video').waitFor();
    await holds(`${VIDEO}.readyState >= 2`);
    assert.ok(Math.abs(Number(await page.evaluate(`${VIDEO}.duration`)) - 4) < 0.1);
    assert.equal(await page.evaluate(`${VIDEO}.play().then(() => true)`), true);
    await page.getByRole('heading', { name: 'How it looks' }).waitFor();
    for (const drawing of [/^Frames of the video/, /^The voice/, /^Which step/]) {
      const picture = page.getByRole('img', { name: drawing });
      await picture.scrollIntoViewIfNeeded();
      await holds(`[...document.images].some((image) => ${drawing}.test(image.alt) && image.naturalWidth > 0)`);
    }
    await page.getByText('project=spring').waitFor();
    await keepShot(page, 'render');
  });

  it('sends its sound again, out of the video when the page no longer has the file', async () => {
    const first = page.url();
    finished = first;
    await page.reload();
    await page.getByText('With the sound of the finished video').waitFor();
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
    await keepShot(page, 'renders');
    await page.getByRole('searchbox').fill('nothing of this name');
    await page.getByText('No render matches').waitFor();
    await page.getByRole('searchbox').fill('SPEECH project=spring');
    await page.locator('tbody tr').nth(1).waitFor();
    for (let presses = 0; presses < 3; presses++) await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.locator('video').waitFor();
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
    await keepShot(page, 'avatar');
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
    await keepShot(page, 'farm');
  });

  it('has no serious fault for those who cannot see it, on a phone and in the dark too', async () => {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      for (const hash of [...PATHS, new URL(finished).hash.slice(1)]) {
        await page.setViewportSize(colorScheme === 'dark' ? PHONE : DESK);
        await open(hash);
        await page.waitForTimeout(300);
        await page.evaluate(axe.source);
        // In the dark only the colours are others.
        const rules = colorScheme === 'dark' ? '{ runOnly: ["color-contrast"] }' : '';
        const found = (await page.evaluate(`axe.run(${rules})`)) as { violations: AxeFinding[] };
        const serious = found.violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
        assert.deepEqual(
          serious.map(({ id, nodes }) => [hash, id, nodes[0]?.html]),
          [],
        );
        const width = await page.evaluate('document.documentElement.scrollWidth');
        assert.ok(Number(width) <= (page.viewportSize()?.width ?? 0), `${hash} is ${width} wide`);
        const name = hash.startsWith('/renders/') ? '-render' : hash.replaceAll('/', '-');
        await keepShot(page, `${colorScheme}${name}`);
      }
    }
    assert.deepEqual(complaints, []);
  });
});
