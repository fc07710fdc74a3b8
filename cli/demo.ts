import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { NodeFarmClient } from '../client/node/farm-client.ts';
import { checkInput, checkOutput } from '../client/node/files.ts';
import { type Config, loadConfig } from '../shared/config/load.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import { exitCodeOf, onEndRequest } from '../shared/process/end-requests.ts';
import { reportFailure } from '../shared/process/report-failure.ts';
import { ignored } from '../shared/process/unheard.ts';
import type { Receipt, RenderView } from '../shared/views/render-view.ts';
import { buildDemoAvatar } from './demo-avatar.ts';
import { httpUrl } from './farm-address.ts';
import { printJsonLine, sayUnless } from './json-output.ts';
import { LocalFarm } from './local-farm.ts';
import { formatLine } from './log-lines.ts';
import { JsonProgress, ProgressDisplay, timingsTable } from './progress.ts';
import { freePort } from './supervisor/private-redis.ts';

const SAMPLE_SPEECH = fileURLToPath(new URL('../avatars/demo/sample-speech.wav', import.meta.url));

export interface DemoOptions {
  readonly out: string;
  readonly audio?: string;
  readonly json?: boolean;
}

/**
 * `farm demo`: a whole farm of its own in a temporary folder, one render through it over HTTP, and everything stopped
 * again. Leaves the video and the log.
 */
export async function demo({ out, audio = SAMPLE_SPEECH, json = false }: DemoOptions): Promise<void> {
  const say = (text: string) => sayUnless(json, text);
  const videoPath = path.resolve(out);
  const logPath = videoPath.replace(/(\.mp4)?$/, '.log');
  await checkInput(audio);
  await mkdir(path.dirname(videoPath), { recursive: true }).catch(ignored('the check says why it cannot be used'));
  await checkOutput(videoPath, { overwrite: true, input: audio });
  const folder = await mkdtemp(path.join(tmpdir(), 'lipsync-farm-demo-'));
  const config = await writeDemoConfig(folder);
  const log = createWriteStream(logPath);
  const onLine = (name: string, line: string) => {
    log.write(`${formatLine(name, line)}\n`);
  };
  const farm = new LocalFarm({ config, inheritOverrides: false, onLine });
  const interrupted = new AbortController();
  const stopListening = onEndRequest({
    first: (reason) => {
      say('\nStopping the farm; a second Ctrl-C ends it at once …');
      process.exitCode = exitCodeOf(reason === 'SIGINT' ? 'SIGINT' : 'SIGTERM');
      interrupted.abort();
      farm.stop().catch(reportFailure);
    },
    again: async (signal) => {
      await farm.kill();
      await rm(folder, { recursive: true, force: true });
      process.exit(exitCodeOf(signal));
    },
  });
  try {
    await buildDemoAvatar(config, interrupted.signal);
    say('Starting a farm: Redis, api, media worker, GPU worker on the CPU');
    await farm.start();
    const client = new NodeFarmClient(httpUrl(config));
    const { render, receipt } = await renderTo(videoPath, { audio, json }, client, interrupted.signal);
    if (json) printJsonLine({ event: 'completed', render, receipt, out: videoPath, log: logPath });
    else say(`\n${describe(render, receipt)}\n\nVideo  ${videoPath}\nLog    ${logPath}`);
  } catch (error) {
    // What fails because the farm was told to stop is no failure.
    if (!interrupted.signal.aborted) throw error;
  } finally {
    await farm.stop();
    stopListening();
    log.end();
    await rm(folder, { recursive: true, force: true });
  }
}

/** The defaults, whatever configuration lies in this folder: the demo shows the farm, not somebody's set-up. */
async function writeDemoConfig(folder: string): Promise<Config> {
  const configPath = path.join(folder, 'config.yaml');
  const settings = {
    http: { port: await freePort() },
    server: { port: `127.0.0.1:${await freePort()}` },
    storage: { root: folder },
  };
  await writeFile(configPath, stringify(settings));
  return loadConfig(configPath, { redisUrl: undefined, configPath: undefined, overrides: new Map() });
}

async function renderTo(
  videoPath: string,
  { audio, json }: { readonly audio: string; readonly json: boolean },
  client: NodeFarmClient,
  signal: AbortSignal,
): Promise<{ render: RenderView; receipt: Receipt }> {
  const progress = json ? new JsonProgress() : new ProgressDisplay();
  progress.say(`Submitting ${path.relative('.', audio)} to POST /v1/renders`);
  const { id } = await client.submit(audio, { modelId: 'demo' });
  const render = await progress.show(client.watch(id, { forMs: 0, signal }));
  if (render.error) throw FarmError.fromReport(render.error);
  await client.saveVideo(id, videoPath, signal);
  return { render, receipt: await client.receipt(id) };
}

function describe(render: RenderView, { audio, frames, audio_minus_video_seconds }: Receipt): string {
  const difference = ((audio_minus_video_seconds ?? 0) * 1000).toFixed(1);
  const sound = `${frames} frames for ${audio.seconds.toFixed(2)} s of sound; sound minus picture ${difference} ms`;
  return `${timingsTable(render)}\n\n${sound}`;
}
