import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';

/** A real Chromium for tests of the studio. */

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
/** Where the pictures of a run are kept to be looked at. */
const SHOTS = path.join(import.meta.dirname, '../../node_modules/.cache/studio-screenshots');

/** Why these tests are skipped, or false. */
export const NO_BROWSER: string | false = CHROMIUM === undefined && 'no Chromium: install the package chromium';

/** @param microphone a WAV file that the browser hears as its microphone, again and again. */
export async function startBrowser(microphone?: string): Promise<Browser> {
  const fake = ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream'];
  const args = microphone ? [...fake, `--use-file-for-fake-audio-capture=${microphone}`] : [];
  return await chromium.launch({ executablePath: CHROMIUM ?? '', args: ['--no-sandbox', ...args] });
}

/** Keeps a picture of the page as `<name>.png`. */
export async function keepShot(page: Page, name: string): Promise<void> {
  await mkdir(SHOTS, { recursive: true });
  await page.screenshot({ path: path.join(SHOTS, `${name}.png`), fullPage: true });
}
