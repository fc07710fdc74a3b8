import { execFile } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { buildDemoAvatar } from '../../avatars/demo/build.ts';
import type { NodeFarmClient } from '../../client/node/farm-client.ts';
import { workerConnection } from '../../shared/redis/connections.ts';
import { SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import { PlaneConverter } from '../../worker/compositor/plane-converter.ts';
import { planeLayout } from '../../worker/compositor/planes.ts';
import { AudioFile } from '../../worker/media/audio-file.ts';
import { type BareNetworks, openBareNetworks } from '../bare-networks.ts';
import { type BenchFarm, startBenchFarm } from '../bench-farm.ts';
import { type Row, row, type Stage } from '../harness/contract.ts';
import { childrenCpuMs, cpuMsWithChildren, redisCpuMs } from '../harness/process-cpu.ts';
import { ratios } from '../harness/rounds.ts';

/**
 * What a whole MP4 costs in processor time, beside the two parts of it that cannot be saved: x264 on the same frames with
 * the same settings, and bare ONNX Runtime. And how long a minute of speech takes before and after its segments.
 */

const run = promisify(execFile);
const DEMO = fileURLToPath(new URL('../../avatars/demo/', import.meta.url));
const SAMPLE_SPEECH = path.join(DEMO, 'sample-speech.wav');
const ROUNDS = 4;
/** Frames whose inputs the networks alone are given, again and again. */
const NOTED_FRAMES = 40;
/** No further round begins after this, once there is one. */
const WITHIN_MS = 40_000;
const SIZE = { width: 1280, height: 720 };
const PLANES = ['-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-video_size', `${SIZE.width}x${SIZE.height}`];
const RATE = ['-framerate', '25'];
/** As `worker/media/encode-segment.ts` has it, with the configuration's defaults. */
const X264 = ['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '20', '-threads', '2', '-bf', '0', '-g', '50'];

export const stage: Stage = {
  about: 'a render of 9.3 s of speech to a 720p MP4, all processes, beside x264 and ONNX Runtime alone, demo avatar',
  limitS: 240,
  async measure({ before }) {
    const folder = await mkdtemp(path.join(tmpdir(), 'farm-bench-mp4-'));
    try {
      await using farm = await startBenchFarm(() => ({}));
      await using other = before === undefined ? undefined : await startBenchFarm(() => ({}), before);
      return await measure(folder, farm, other);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function measure(folder: string, farm: BenchFarm, other: BenchFarm | undefined): Promise<Row[]> {
  const clip = { planes: path.join(folder, 'frames.yuv'), video: path.join(folder, 'video.mp4') };
  const frames = await unencoded(farm.client, clip.planes);
  await using networks = await networksAlone(folder);
  await renderedMs(farm, clip.video);
  if (other) await renderedMs(other);
  const taken = {
    render: [] as RenderCost[],
    before: [] as RenderCost[],
    x264: [] as number[],
    network: [] as number[],
  };
  const endsAt = performance.now() + WITHIN_MS;
  for (let round = 0; round < ROUNDS && (round === 0 || performance.now() < endsAt); round++) {
    taken.render.push(await renderedMs(farm));
    if (other) taken.before.push(await renderedMs(other));
    taken.x264.push(await x264Ms(clip.planes));
    taken.network.push(await networks.cpuMs(frames));
  }
  const minute = await aMinute(farm, folder);
  const perFrame = (values: readonly number[]) => values.map((ms) => ms / frames);
  const least = taken.x264.map((ms, round) => ms + (taken.network[round] ?? Number.NaN));
  const cpu = taken.render.map((cost) => cost.cpuMs);
  const speed = taken.render.map((cost) => cost.framesPerSecond);
  return [
    row({ name: 'x264 alone', unit: 'CPU ms/frame', values: perFrame(taken.x264) }),
    row({ name: 'ONNX Runtime alone', unit: 'CPU ms/frame', values: perFrame(taken.network) }),
    row({ name: 'a render, all processes', unit: 'CPU ms/frame', values: perFrame(cpu) }),
    row({ name: 'a render : both alone', unit: 'ratio', values: ratios(cpu, least), atMost: 1.25 }),
    row({ name: 'a minute of speech, all processes', unit: 'CPU ms/frame', values: [minute.cpuMsPerFrame] }),
    row({
      name: 'a minute of speech : both alone',
      unit: 'ratio',
      values: perFrame(least).map((ms) => minute.cpuMsPerFrame / ms),
      atMost: 1.25,
    }),
    row({ name: 'speed', unit: 'frames/s', values: speed }),
    ...comparison(taken.render, taken.before, frames),
    row({ name: 'SSIM to the unencoded frames', unit: '', values: [await ssim(clip)], atLeast: 0.98 }),
    row({ name: 'a minute of speech, prepare', unit: 'ms', values: [minute.prepareMs] }),
    row({ name: 'a minute of speech, stitch', unit: 'ms', values: [minute.stitchMs] }),
    row({ name: 'a minute of speech, beyond its segments', unit: 'ms', values: [minute.beyondMs], atMost: 1000 }),
  ];
}

interface RenderCost {
  readonly cpuMs: number;
  readonly framesPerSecond: number;
}

function comparison(render: readonly RenderCost[], before: readonly RenderCost[], frames: number): Row[] {
  if (before.length === 0) return [];
  const speeds = (costs: readonly RenderCost[]) => costs.map((cost) => cost.framesPerSecond);
  const cpu = (costs: readonly RenderCost[]) => costs.map((cost) => cost.cpuMs);
  return [
    row({
      name: 'a render by the build before',
      unit: 'CPU ms/frame',
      values: cpu(before).map((ms) => ms / frames),
    }),
    row({
      name: 'CPU, the build before : this one',
      unit: 'ratio',
      values: ratios(cpu(before), cpu(render)),
      atLeast: 1.4,
    }),
    row({ name: 'speed of the build before', unit: 'frames/s', values: speeds(before) }),
    row({
      name: 'speed : the build before',
      unit: 'ratio',
      values: ratios(speeds(render), speeds(before)),
      atLeast: 1.4,
    }),
  ];
}

/** One render of the sample speech. */
async function renderedMs(farm: BenchFarm, saveTo?: string): Promise<RenderCost> {
  const startedAt = performance.now();
  const [{ renderId, frames }, cpuMs] = await cpuMsOfRender(farm, SAMPLE_SPEECH);
  const seconds = (performance.now() - startedAt) / 1000;
  if (saveTo) await farm.client.saveVideo(renderId, saveTo);
  return { cpuMs, framesPerSecond: frames.done / seconds };
}

/** A render from its submission to its end, and the CPU milliseconds of all processes meanwhile. */
async function cpuMsOfRender(farm: BenchFarm, speech: string) {
  const redis = workerConnection(farm.redisUrl);
  try {
    const used = async () => cpuMsWithChildren(farm.pids.values()) + (await redisCpuMs(redis));
    const before = await used();
    const { id } = await farm.client.submit(speech);
    const finished = await farm.client.finished(id);
    return [{ renderId: id, ...finished }, (await used()) - before] as const;
  } finally {
    redis.disconnect();
  }
}

/** Writes the frames of the sample speech as planes; returns how many there are. */
async function unencoded(client: NodeFarmClient, target: string): Promise<number> {
  const { id } = await client.submit(SAMPLE_SPEECH, { output: 'frames', jpegQuality: 100 });
  const { frames } = await client.finished(id);
  const converter = new PlaneConverter();
  const planes = new Uint8Array(planeLayout(SIZE).byteLength);
  await using file = await open(target, 'w');
  for (let index = 0; index < frames.done; index++) {
    const data = await sharp(await client.frame(id, index))
      .raw()
      .toBuffer();
    converter.convertArea({ ...SIZE, data }, { x1: 0, y1: 0 }, SIZE, planes);
    await file.writeFile(planes);
  }
  return frames.done;
}

async function x264Ms(planes: string): Promise<number> {
  const before = childrenCpuMs();
  const output = ['-flags', '+cgop', '-f', 'null', '-'];
  await run('ffmpeg', ['-v', 'error', '-nostdin', '-nostats', ...PLANES, ...RATE, '-i', planes, ...X264, ...output]);
  return childrenCpuMs() - before;
}

/** Of all planes, as ffmpeg's filter weighs them. */
async function ssim({ planes, video }: { planes: string; video: string }): Promise<number> {
  const inputs = ['-i', video, ...PLANES, ...RATE, '-i', planes];
  const { stderr } = await run('ffmpeg', ['-nostdin', '-nostats', ...inputs, '-lavfi', 'ssim', '-f', 'null', '-']);
  return Number(/SSIM .*All:([\d.]+)/.exec(stderr)?.[1]);
}

async function networksAlone(folder: string): Promise<BareNetworks> {
  const samples = path.join(folder, 'speech.f32');
  const form = ['-ar', `${SAMPLE_RATE_HZ}`, '-ac', '1', '-f', 'f32le'];
  await run('ffmpeg', ['-v', 'error', '-nostdin', '-i', SAMPLE_SPEECH, ...form, samples]);
  await using audio = await AudioFile.open(samples);
  return await openBareNetworks(await buildDemoAvatar(), audio, NOTED_FRAMES);
}

async function aMinute(farm: BenchFarm, folder: string) {
  const speech = path.join(folder, 'minute.wav');
  await run('ffmpeg', ['-v', 'error', '-nostdin', '-stream_loop', '-1', '-i', SAMPLE_SPEECH, '-t', '60', speech]);
  const [{ timings_ms, frames }, cpuMs] = await cpuMsOfRender(farm, speech);
  const { prepare, stitch, total, render } = timings_ms;
  const beyondMs = (total ?? 0) - (render ?? 0);
  return { prepareMs: prepare ?? 0, stitchMs: stitch ?? 0, beyondMs, cpuMsPerFrame: cpuMs / frames.done };
}
