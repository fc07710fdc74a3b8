import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { NO_BROWSER, startBrowser } from './browser.ts';

interface LiveFigures {
  readonly shown: number;
  readonly dropped: number;
  readonly offsetsMs: readonly number[];
}

describe('the live session of a page, in Chromium', { skip: NO_BROWSER }, () => {
  let farm: TestFarm;
  let browser: Browser;
  let page: Page;
  let speech = '';

  before(async () => {
    farm = await startFarm({ models: { ann: SMALL_MODEL } });
    const file = path.join(farm.folder, 'speech.wav');
    await writeWav(file, syllables(3));
    speech = (await readFile(file)).toString('base64');
    browser = await startBrowser(file);
    const context = await browser.newContext({ permissions: ['microphone'] });
    page = await context.newPage();
    page.on('pageerror', ({ message }) => assert.fail(message));
    await page.goto(farm.url);
    // A browser plays no sound before the user has touched the page.
    await page.mouse.click(5, 5);
  });
  after(async () => {
    await browser?.close();
    await farm?.[Symbol.asyncDispose]();
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
