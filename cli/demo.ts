import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { FarmClient } from '../client/farm-client.ts';
import { type Config, loadConfig } from '../shared/config/load.ts';
import { FarmError } from '../shared/errors.ts';
import { buildDemoAvatar } from './demo-avatar.ts';
import { LocalFarm } from './local-farm.ts';
import { formatLine } from './log-lines.ts';
import { freePort } from './private-redis.ts';
import { showProgress, timingsTable } from './progress.ts';

const SAMPLE_SPEECH = fileURLToPath(new URL('../avatars/demo/sample-speech.wav', import.meta.url));

export interface DemoOptions {
  readonly out: string;
  readonly audio?: string;
}

/**
 * `farm demo`: a whole farm of its own in a temporary folder, one render through it over HTTP, and everything stopped
 * again. Leaves the video and the log.
 */
export async function demo({ out, audio = SAMPLE_SPEECH }: DemoOptions): Promise<void> {
  const videoPath = path.resolve(out);
  const logPath = videoPath.replace(/\.mp4$/, '.log');
  await mkdir(path.dirname(videoPath), { recursive: true });
  const folder = await mkdtemp(path.join(tmpdir(), 'lipsync-farm-demo-'));
  const config = await writeDemoConfig(folder);
  const log = createWriteStream(logPath);
  let farm: LocalFarm | undefined;
  const interrupted = Promise.withResolvers<never>();
  interrupted.promise.catch(() => {});
  const interrupt = () => interrupted.reject(new FarmError('render_cancelled', 'Interrupted'));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    await buildDemoAvatar(config);
    print('Starting a farm: Redis, api, media worker, GPU worker on the CPU');
    farm = await LocalFarm.start({
      config,
      inheritOverrides: false,
      onLine: (name, line) => log.write(`${formatLine(name, line)}\n`),
    });
    const client = new FarmClient(`http://${config.http.host}:${config.http.port}`);
    await Promise.race([renderTo(videoPath, audio, client), interrupted.promise]);
    print(`\nVideo  ${videoPath}\nLog    ${logPath}`);
  } finally {
    await farm?.stop();
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

async function renderTo(videoPath: string, audioPath: string, client: FarmClient): Promise<void> {
  print(`Submitting ${path.relative('.', audioPath)} to POST /v1/renders`);
  const { id } = await client.submit(audioPath, { modelId: 'demo' });
  const last = await showProgress(client.watch(id));
  if (last.error) throw FarmError.fromReport(last.error);
  await client.saveVideo(id, videoPath);
  print(`\n${timingsTable(last)}`);
  const { audio, frames, audio_minus_video_seconds } = await client.receipt(id);
  const difference = ((audio_minus_video_seconds ?? 0) * 1000).toFixed(1);
  print(`\n${frames} frames for ${audio.seconds.toFixed(2)} s of sound; sound minus picture ${difference} ms`);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
