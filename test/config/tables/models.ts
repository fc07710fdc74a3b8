import assert from 'node:assert/strict';
import { access, copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { status } from '@grpc/grpc-js';
import sharp from 'sharp';
import { freePort } from '../../../cli/supervisor/private-redis.ts';
import { Bucket } from '../../../shared/s3/bucket.ts';
import type { Receipt } from '../../../shared/views/render-view.ts';
import { COMPOSITING, failureOf, INFERENCE, TestClient } from '../../grpc/clients.ts';
import { FileServer } from '../../model-files/file-server.ts';
import { decodeFrames } from '../../support/ffprobe.ts';
import { runCliIn } from '../../support/run-cli.ts';
import { startS3 } from '../../support/s3-server.ts';
import { until } from '../../support/until.ts';
import { farmSays, type KeyFarm, keysOf, type Settings } from '../key-farm.ts';
import type { KeyTable } from '../key-table.ts';
import {
  type Colour,
  colourAt,
  drawClear,
  drawFaces,
  drawMasks,
  drawPictures,
  filmByPhone,
  filmColour,
  filmFaces,
  RECT,
  rectsOf,
  SIZE,
  writeParts,
} from '../pictures.ts';

type Entry = Readonly<Record<string, unknown>>;

/** Paths of models begin at `models_root`. */
const PLAIN = { model_path: 'crop.onnx', background_dir: 'blue', crop_rects_path: 'rects.json' } as const;
const HUBERT = { ...PLAIN, model_path: 'hubert.onnx', audio_encoder_path: 'hubert_encoder.onnx' } as const;
const MASKED = { ...PLAIN, model_path: 'masked.onnx' } as const;

/** Places in a picture: the middle of the mouth's rect, of the other rect, and a corner that no mouth reaches. */
const MOUTH = [12, 12] as const;
const LOW_MOUTH = [21, 17] as const;
const CORNER = [30, 1] as const;
/** Another one, at the bottom. */
const FOOT = [30, 22] as const;
/** Places of the mouth's rect: in its left and its right half, and on its left edge. */
const LEFT = [8, 12] as const;
const RIGHT = [16, 12] as const;
const EDGE = [4, 12] as const;
const CLEAR = { ...PLAIN, background_dir: 'clear' } as const;
const GREEN_FACES = { ...PLAIN, crops_frames_dir: 'green-faces' } as const;
/** A tall face, and the place in it that is all below what is hidden of the mouth. */
const TALL = { ...PLAIN, model_path: 'masked.onnx', crop_rects_path: 'tall_rects.json' } as const;
const CHIN = [16, 22] as const;

/** Nothing but the pause between two words is silence, all of it. */
const GATED = { ...PLAIN, silence_gate: true, silence_hold_ms: 0, silence_lead_ms: 0 } as const;
/** Two frames of the fading voice as well. */
const DEAF = { ...GATED, silence_open_dbfs: -16 } as const;

const LISTENING = { ...GATED, silence_idle_after_ms: 0, idle_dir: 'red-green-yellow' } as const;

/** An entry before and after the configuration is read again, and what is to be seen of it each time. */
interface Change<T> {
  readonly before: Entry;
  readonly after: Entry;
  readonly look: (farm: KeyFarm, modelId: string) => Promise<T>;
  readonly seen: readonly [T, T];
}

const at =
  ([x, y]: readonly [number, number], start = 0) =>
  async (farm: KeyFarm, modelId: string): Promise<Colour> => {
    const [frame] = await farm.frames(modelId, { start });
    return colourAt(frame as Buffer, x, y);
  };

/** The encoder that a render was made with, by its receipt. */
const encoderOf = async (farm: KeyFarm, modelId: string): Promise<string> => {
  const { model_files } = await farm.render(modelId, 0.1);
  return path.basename(model_files[1]?.path ?? '');
};

/** How a render walks that does not say so itself, by its receipt. */
const walkOf = async (farm: KeyFarm, modelId: string): Promise<string> =>
  (await farm.render(modelId, 0.1)).background?.mode ?? '';

/** What a model hears, and how long a frame of a stream waits, by the list of the models. */
const hearingOf = async (farm: KeyFarm, modelId: string): Promise<string> => {
  const { hears } = (await farm.client.models()).models.find(({ id }) => id === modelId) ?? {};
  return hears ? `${hears.features} ${hears.latency_ms ?? 'never'}` : 'nothing';
};

/** The key that an error asks for. */
const wantsKey = ({ message }: Error): string => /audio_features/.exec(message)?.[0] ?? message;

/** Frames in silence of two seconds of speech, by the receipt; "off" without a gate. */
const silentFramesOf = async (farm: KeyFarm, modelId: string): Promise<string> =>
  String((await farm.render(modelId, 2)).silence_gate?.frames ?? 'off');

/** Frames of an idle clip in two seconds of speech, likewise. */
const idleFramesOf = async (farm: KeyFarm, modelId: string): Promise<string> =>
  String((await farm.render(modelId, 2)).silence_gate?.idle_frames ?? 'off');

const loadedUnasked = async (farm: KeyFarm, modelId: string): Promise<string> => {
  const isLoaded = async () =>
    (await farm.client.models()).models.some(({ id, loaded_on }) => id === modelId && loaded_on.length > 0);
  if (farm.keysSet.has('models.demo.preload_model')) await until(`${modelId} is loaded by itself`, isLoaded);
  return (await isLoaded()) ? 'loaded' : 'not loaded';
};

/** By the key that changes; each has a model of that name. */
const CHANGES: Readonly<Record<string, Change<string>>> = {
  model_path: { before: PLAIN, after: MASKED, look: at(MOUTH), seen: ['blue', 'black'] },
  background_dir: {
    before: PLAIN,
    after: { ...PLAIN, background_dir: 'red-green-yellow' },
    look: at(CORNER),
    seen: ['blue', 'red'],
  },
  crop_rects_path: {
    before: MASKED,
    after: { ...MASKED, crop_rects_path: 'low_rects.json' },
    look: at(LOW_MOUTH),
    seen: ['blue', 'black'],
  },
  audio_encoder_path: {
    before: PLAIN,
    after: { ...PLAIN, audio_encoder_path: 'own_encoder.onnx' },
    look: encoderOf,
    seen: ['audio_encoder.onnx', 'own_encoder.onnx'],
  },
  source_video: {
    before: PLAIN,
    after: { ...PLAIN, background_dir: '', source_video: 'phone.mp4' },
    // Upright, of usual brightness, and with a rect for each picture.
    look: async (farm, id) => `${await at(CORNER)(farm, id)} ${await at(FOOT)(farm, id)}`,
    seen: ['blue blue', 'red grey'],
  },
  crops_frames_dir: {
    before: PLAIN,
    after: GREEN_FACES,
    look: at(MOUTH),
    seen: ['blue', 'green'],
  },
  crops_video_path: {
    before: PLAIN,
    after: { ...PLAIN, crops_video_path: 'yellow-faces.mp4' },
    look: at(MOUTH),
    seen: ['blue', 'yellow'],
  },
  rois_frames_dir: {
    before: TALL,
    after: { ...TALL, rois_frames_dir: 'green-faces' },
    look: at(CHIN),
    seen: ['blue', 'green'],
  },
  rois_video_path: {
    before: TALL,
    after: { ...TALL, rois_video_path: 'yellow-faces.mp4' },
    look: at(CHIN),
    seen: ['blue', 'yellow'],
  },
  masks_dir: {
    before: MASKED,
    after: { ...MASKED, masks_dir: 'left-masks' },
    look: async (farm, id) => `${await at(LEFT)(farm, id)} ${await at(RIGHT)(farm, id)}`,
    seen: ['black black', 'blue black'],
  },
  blend: {
    before: GREEN_FACES,
    after: { ...GREEN_FACES, blend: 'feather' },
    look: async (farm, id) => `${await at(EDGE)(farm, id)} ${await at(MOUTH)(farm, id)}`,
    seen: ['green green', 'blue green'],
  },
  background: {
    before: CLEAR,
    after: { ...CLEAR, background: '#DC1414' },
    // The mouth's rect is clear on its right.
    look: async (farm, id) => (await Promise.all([LEFT, RIGHT, CORNER].map((place) => at(place)(farm, id)))).join(' '),
    seen: ['blue blue blue', 'blue red red'],
  },
  audio_features: {
    before: { ...PLAIN, model_path: 'undecided.onnx' },
    after: { ...PLAIN, model_path: 'undecided.onnx', audio_features: 'ave' },
    look: async (farm, id) => `${await hearingOf(farm, id)} ${await at(MOUTH)(farm, id).catch(wantsKey)}`,
    seen: ['nothing audio_features', 'ave 450 blue'],
  },
  hubert_chunks: {
    before: HUBERT,
    after: { ...HUBERT, hubert_chunks: 'short' },
    look: async (farm, id) => `${await hearingOf(farm, id)} ${await at(MOUTH)(farm, id)}`,
    seen: ['hubert never blue', 'hubert 645 blue'],
  },
  background_mode: {
    before: { ...PLAIN, background_dir: 'red-green-yellow' },
    after: { ...PLAIN, background_dir: 'red-green-yellow', background_mode: 'loop' },
    // Three pictures are walked 0, 1, 2, 1, or 0, 1, 2, 0.
    look: async (farm, id) => `${await at(CORNER, 3)(farm, id)} ${await walkOf(farm, id)}`,
    seen: ['green ping-pong', 'red loop'],
  },
  frames_per_second: {
    before: PLAIN,
    after: { ...PLAIN, frames_per_second: 20 },
    look: async (farm, id) => {
      const { frames, fps } = await farm.render(id, 0.4);
      return `${frames} at ${fps}`;
    },
    seen: ['10 at 25', '8 at 20'],
  },
  silence_gate: { before: PLAIN, after: GATED, look: silentFramesOf, seen: ['off', '7'] },
  silence_open_dbfs: {
    before: GATED,
    after: { ...GATED, silence_open_dbfs: -5 },
    look: silentFramesOf,
    seen: ['7', '50'],
  },
  silence_close_dbfs: {
    before: DEAF,
    after: { ...DEAF, silence_close_dbfs: -16 },
    look: silentFramesOf,
    seen: ['9', '10'],
  },
  silence_hold_ms: { before: GATED, after: { ...GATED, silence_hold_ms: 400 }, look: silentFramesOf, seen: ['7', '0'] },
  silence_lead_ms: { before: GATED, after: { ...GATED, silence_lead_ms: 200 }, look: silentFramesOf, seen: ['7', '2'] },
  idle_dir: {
    before: { ...GATED, silence_idle_after_ms: 0 },
    after: { ...GATED, silence_idle_after_ms: 0, idle_dir: 'red-green-yellow' },
    look: idleFramesOf,
    seen: ['0', '10'],
  },
  idle_video: {
    before: { ...GATED, silence_idle_after_ms: 0 },
    after: { ...GATED, silence_idle_after_ms: 0, idle_video: 'phone.mp4' },
    look: idleFramesOf,
    seen: ['0', '10'],
  },
  silence_idle_after_ms: {
    before: LISTENING,
    after: { ...LISTENING, silence_idle_after_ms: 120 },
    look: idleFramesOf,
    seen: ['10', '7'],
  },
  num_frames: {
    before: { ...PLAIN, background_dir: 'red-green-yellow' },
    after: { ...PLAIN, background_dir: 'red-green-yellow', num_frames: 2 },
    // Two pictures are walked 0, 1, 0; three 0, 1, 2.
    look: at(CORNER, 2),
    seen: ['yellow', 'red'],
  },
  preload_model: {
    before: PLAIN,
    after: { ...PLAIN, preload_model: true },
    look: loadedUnasked,
    seen: ['not loaded', 'loaded'],
  },
  preload: { before: PLAIN, after: { ...PLAIN, preload: true }, look: loadedUnasked, seen: ['not loaded', 'loaded'] },
};

/** Models that cannot be used once the configuration has been read again, and what is said of each. */
const BROKEN: Readonly<Record<string, { entry: Entry; because: RegExp }>> = {
  'no-network': { entry: { ...PLAIN, model_path: 'nowhere.onnx' }, because: /nowhere\.onnx/ },
  'no-encoder': { entry: { ...PLAIN, audio_encoder_path: 'nowhere.onnx' }, because: /nowhere\.onnx/ },
  'no-crops': { entry: { ...PLAIN, crops_frames_dir: 'nowhere' }, because: /nowhere/ },
  'no-rois': { entry: { ...PLAIN, rois_video_path: 'nowhere.mp4' }, because: /nowhere\.mp4/ },
  'few-crops': { entry: { ...PLAIN, crops_frames_dir: 'one-face' }, because: /one-face has 1 crops for 3/ },
  'few-masks': { entry: { ...PLAIN, masks_dir: 'one-face' }, because: /one-face has no mask for picture 1, 2:/ },
  'no-backdrop': { entry: { ...CLEAR, background: 'nowhere.png' }, because: /nowhere\.png/ },
  'no-clip': { entry: { ...PLAIN, idle_dir: 'nowhere' }, because: /nowhere/ },
  'no-video': { entry: { ...PLAIN, background_dir: '', source_video: 'nowhere.mp4' }, because: /nowhere\.mp4/ },
  'no-film': { entry: { ...PLAIN, background_dir: '', source_video: 'rects.json' }, because: /rects\.json/ },
};

/** Its pictures would have to be extracted first, which a check does not do. */
const NO_NETWORK_OF_A_FILM = { ...PLAIN, model_path: 'rects.json', background_dir: '', source_video: 'long.mp4' };

/** Of four pictures three are kept, and two of the four are gone from the disk once the model is loaded. */
const KEPT_PICTURES = 3;

/** Keys that are read and have no effect, each with a value that is not its default. */
const WITHOUT_EFFECT = {
  server: { worker_count_per_gpu: 8 },
  inference_server: { url: 'localhost:50051', timeout_seconds: 30, max_retries: 9 },
  onnx: { library_path: '/usr/lib/libonnxruntime.so', cuda_streams_per_worker: 4, inter_op_threads: 3 },
} as const;

/** Of what is logged of each request, every third one is. */
const SAMPLE_RATE = 3;

/** Models of four pictures, of which one cannot be read. */
const HOARDERS = {
  third: { ...PLAIN, background_dir: 'third-broken', crop_rects_path: 'four_rects.json', preload_backgrounds: true },
  fourth: { ...PLAIN, background_dir: 'fourth-broken', crop_rects_path: 'four_rects.json', preload_backgrounds: true },
  lazy: { ...PLAIN, background_dir: 'third-broken', crop_rects_path: 'four_rects.json' },
};

/** Only Linux has all of these addresses by itself. */
const HOSTS = process.platform === 'linux' ? { http: '127.0.0.2', grpc: '127.0.0.3' } : { http: '127.0.0.1' };

interface Bench {
  readonly farm: KeyFarm;
  readonly looks: ReadonlyMap<string, readonly [string, string]>;
  /** Of a render of the model `model_path` once the configuration has been read again. */
  readonly receipt: Receipt;
  /** What loading each of the HOARDERS answers: nothing, or the code of an error. */
  readonly hoarders: Readonly<Record<string, string>>;
  /** Of the server that files of models come from: what was asked before anybody used a model of it, and all answers. */
  readonly askedAtFirst: readonly string[];
  readonly server: FileServer;
  readonly doctor: string;
  /** Where the services of the separated pair listen, by the keys of `server`. */
  readonly pair: Readonly<Record<'compositing_port' | 'inference_port', string>>;
}

/** A cache of 1 MB, and a file that is larger. */
const CACHE_GB = 0.001;
const HUGE_BYTES = 2 ** 21;

/** Models whose files are fetched, the servers that they come from, and how they may be. */
async function remoteModels(farm: KeyFarm, root: string) {
  const server = farm.others.use(await FileServer.start());
  const s3 = await startS3('weights');
  farm.others.defer(() => s3.close());
  const network = await readFile(path.join(root, PLAIN.model_path));
  server.files.set('/crop.onnx', network);
  server.files.set('/huge.onnx', Buffer.alloc(HUGE_BYTES));
  server.files.set('/audio_encoder.onnx', await readFile(path.join(root, 'audio_encoder.onnx')));
  await new Bucket({ ...s3.settings, prefix: '' }).put('crop.onnx', network);
  const { origin } = server;
  const models = {
    fetched: { ...PLAIN, model_path: `${origin}/crop.onnx`, audio_encoder_path: `${origin}/audio_encoder.onnx` },
    stored: { ...PLAIN, model_path: 's3://weights/crop.onnx' },
    huge: { ...PLAIN, model_path: `${origin}/huge.onnx` },
  };
  const from = {
    ...{ hosts: [origin], buckets: ['weights'], networks: ['127.0.0.1'] },
    ...{ cache_dir: 'fetched', cache_gb: CACHE_GB, prefetch: false },
  };
  return { server, models, from, storage: { s3: { endpoint: s3.settings.endpoint } } };
}

async function start(farm: KeyFarm): Promise<Bench> {
  const host = HOSTS.grpc ?? '127.0.0.1';
  const pair = { compositing_port: `${host}:${await freePort()}`, inference_port: `${host}:${await freePort()}` };
  const root = path.join(farm.folder, 'avatars');
  await writeParts(root);
  await writeFiles(root);
  const remote = await remoteModels(farm, root);
  const before = Object.fromEntries(Object.entries(CHANGES).map(([key, change]) => [key, change.before]));
  await farm.up({
    ...WITHOUT_EFFECT,
    server: { ...WITHOUT_EFFECT.server, ...pair },
    http: { host: HOSTS.http },
    // Its own level alone would keep all lines back.
    // Lines come soon all the same, or the test would not see that the configuration was read again.
    logging: {
      ...{ log_inference_times: true, log_compositing_times: true, log_cache_stats: true, log_gpu_utilization: true },
      ...{ save_debug_files: true, sample_rate: SAMPLE_RATE, access_log: 'log' },
      level: 'silent',
      log_level: 'info',
      buffered_logging: true,
      flush_interval_ms: 50,
    },
    gpus: { enabled: false },
    onnx: { ...WITHOUT_EFFECT.onnx, execution_providers: ['cuda'] },
    capacity: { background_cache_frames: KEPT_PICTURES },
    limits: { disk_reserve_gb: 0.001 },
    output: { format: 'raw' },
    grpc: { reflection: false },
    storage: { ...remote.storage, driver: 'local', root: 'kept', prepared_dir: 'made', segment_cache_gb: 0.5 },
    models_root: 'avatars',
    models_from: remote.from,
    models: { ...before, ...HOARDERS, ...remote.models },
  });
  const hoarders = await loadHoarders(farm);
  const first = await lookAtAll(farm);
  const after = Object.fromEntries(Object.entries(CHANGES).map(([key, change]) => [key, change.after]));
  const broken = Object.fromEntries(Object.entries(BROKEN).map(([id, { entry }]) => [id, entry]));
  const askedAtFirst = remote.server.requests.map(({ path: asked }) => asked);
  const settings: Settings = {
    onnx: { ...WITHOUT_EFFECT.onnx, execution_providers: ['cuda'], audio_encoder_path: 'other_encoder.onnx' },
  };
  await farm.reload({
    ...settings,
    models: { ...after, ...broken, ...remote.models, 'film-only': NO_NETWORK_OF_A_FILM },
  });
  const second = await lookAtAll(farm);
  return {
    farm,
    pair,
    looks: new Map(Object.keys(CHANGES).map((key) => [key, [first.get(key) ?? '', second.get(key) ?? '']])),
    receipt: await farm.render('model_path', 0.1),
    hoarders,
    askedAtFirst,
    server: remote.server,
    doctor: await doctorSays(farm),
  };
}

/** What `farm doctor` says of the farm on a disk that has less room than is to be kept free. */
async function doctorSays({ configPath }: KeyFarm): Promise<string> {
  const { exited, output } = runCliIn({ FARM_LIMITS__DISK_RESERVE_GB: '1000000' }, 'doctor', '--config', configPath);
  await exited;
  return output();
}

async function writeFiles(root: string): Promise<void> {
  const file = (name: string) => path.join(root, name);
  await Promise.all([
    drawFaces(file('green-faces'), 'green'),
    drawPictures(file('one-face'), ['green'], { width: 160, height: 160 }),
    drawMasks(file('left-masks'), LEFT[0] + 4),
    drawClear(file('clear'), 'blue', LEFT[0] + 4),
    filmFaces(file('yellow-faces.mp4'), 'yellow'),
    filmByPhone(file('phone.mp4')),
    filmColour(file('long.mp4'), 'red'),
    drawPictures(file('third-broken'), ['red', 'green', 'yellow', 'red']),
    drawPictures(file('fourth-broken'), ['red', 'green', 'yellow', 'red']),
    writeFile(file('four_rects.json'), rectsOf(RECT, 4)),
  ]);
  await copyFile(file('audio_encoder.onnx'), file('own_encoder.onnx'));
  await writeFile(path.join(file('third-broken'), 'frame_000002.png'), 'no picture');
  await writeFile(path.join(file('fourth-broken'), 'frame_000003.png'), 'no picture');
}

/** What is seen of each model; of one that fails, why. */
async function lookAtAll(farm: KeyFarm): Promise<Map<string, string>> {
  const seen = new Map<string, string>();
  for (const [key, { look }] of Object.entries(CHANGES)) {
    seen.set(key, await look(farm, key).catch((error: Error) => error.message));
  }
  return seen;
}

async function loadHoarders(farm: KeyFarm): Promise<Record<string, string>> {
  const answers: Record<string, string> = {};
  for (const id of Object.keys(HOARDERS)) {
    answers[id] = await farm.client.loadModel(id).then(
      () => '',
      (error: { code: string }) => error.code,
    );
  }
  return answers;
}

const changesAsItShould =
  (key: string) =>
  async ({ looks }: Bench) => {
    assert.deepEqual(looks.get(key), CHANGES[key]?.seen);
  };

/** Colours of places in each form in which a render gives its first frame: as a JPEG, and in a video. */
async function rendered(
  farm: KeyFarm,
  modelId: string,
  places: readonly (readonly [number, number])[],
): Promise<Colour[][]> {
  const { render_id: frames } = await farm.render(modelId, 0.1);
  const jpeg = await sharp(await farm.client.frame(frames, 0))
    .raw()
    .toBuffer();
  const { render_id: film } = await farm.render(modelId, 0.1, { output: 'mp4' });
  const file = path.join(farm.folder, 'film.mp4');
  await farm.client.saveVideo(film, file);
  const [picture = new Uint8Array()] = await decodeFrames(file, SIZE.width, SIZE.height);
  return [jpeg, Buffer.from(picture)].map((pixels) => places.map(([x, y]) => colourAt(pixels, x, y)));
}

const saysThatItHasNoEffect =
  (key: string) =>
  async ({ farm, doctor }: Bench) => {
    const said = farm.output.filter((line) => line.includes(`key=${key} `));
    assert.equal(said.length, 1, 'the front end says it, once');
    assert.match(said[0] ?? '', /WARN key of the configuration has no effect .* why=.+/);
    assert.ok(doctor.includes(`${key} has no effect: `), doctor);
  };

/** gRPC status of a call of the reflection service. */
function reflectionStatus({ grpc }: KeyFarm): Promise<number> {
  const same = (bytes: Buffer) => bytes;
  const call = grpc.makeBidiStreamRequest('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', same, same);
  const ended = Promise.withResolvers<number>();
  call
    .on('data', () => {})
    .on('error', () => {})
    .on('status', ({ code }) => ended.resolve(code));
  call.end();
  return ended.promise;
}

export const modelKeys: KeyTable<Bench> = {
  title: 'keys of models, and what shapes pictures',
  hosts: HOSTS,
  start,
  checks: {
    ...Object.fromEntries(Object.keys(CHANGES).map((key) => [`models.demo.${key}`, changesAsItShould(key)])),
    ...Object.fromEntries(keysOf(WITHOUT_EFFECT).map((key) => [key, saysThatItHasNoEffect(key)])),
    'models.demo.masks_dir': async (bench) => {
      await changesAsItShould('masks_dir')(bench);
      const seen = ['blue', 'black'];
      assert.deepEqual(await rendered(bench.farm, 'masks_dir', [LEFT, RIGHT]), [seen, seen]);
    },
    'models.demo.background': async (bench) => {
      await changesAsItShould('background')(bench);
      const seen = ['blue', 'red'];
      assert.deepEqual(await rendered(bench.farm, 'background', [LEFT, RIGHT]), [seen, seen]);
    },
    models_root: async ({ farm, receipt }) => {
      assert.equal(receipt.model_files[0]?.path, path.join(farm.folder, 'avatars', 'masked.onnx'));
    },
    'onnx.audio_encoder_path': async ({ looks, receipt }) => {
      // Before, both models had the one beside their network.
      const encoders = [looks.get('audio_encoder_path')?.[0], path.basename(receipt.model_files[1]?.path ?? '')];
      assert.deepEqual(encoders, ['audio_encoder.onnx', 'other_encoder.onnx']);
    },
    'capacity.background_cache_frames models.demo.preload_backgrounds': async ({ hoarders }) => {
      // What is kept in memory is read when the model is loaded: three pictures, and none of a model that does not ask.
      assert.deepEqual(hoarders, { third: 'model_unusable', fourth: '', lazy: '' });
    },
    'limits.disk_reserve_gb': async ({ farm, doctor }) => {
      await until('the farm is ready', async () => (await fetch(`${farm.url}/readyz`)).status === 200);
      assert.match(doctor, /no render is taken below limits\.disk_reserve_gb, 1000000 GB/);
    },
    'output.format': async ({ farm }) => {
      const [frame] = await farm.frames('model_path');
      assert.equal(frame?.length, 32 * 24 * 3);
    },
    'gpus.enabled': async ({ receipt }) => {
      assert.deepEqual(receipt.providers, ['cpu'], 'though cuda alone is configured');
    },
    'http.host http.port': async ({ farm }) => {
      assert.equal((await fetch(`${farm.url}/healthz`)).status, 200);
      const elsewhere = fetch(`http://127.0.0.1:${farm.httpPort}/healthz`);
      if (process.platform === 'linux') await assert.rejects(elsewhere, 'nothing listens on the other addresses');
    },
    'server.port': async ({ farm }) => {
      await farm.grpc.untilHealth('SERVING');
      assert.ok(farm.output.includes(`  gRPC       ${farm.grpcAddress}`));
    },
    'server.compositing_port server.inference_port': async ({ farm, pair }) => {
      for (const [address, name, service] of [
        [pair.compositing_port, 'compositing', COMPOSITING],
        [pair.inference_port, 'inference', INFERENCE],
      ] as const) {
        const client = new TestClient(address);
        const asked = client.unary<{ healthy: boolean }>(service, 'Health', {}).finally(() => client.close());
        assert.ok((await asked).healthy);
        const elsewhere = await failureOf(farm.grpc.unary(service, 'Health', {}));
        assert.equal(elsewhere.code, status.UNIMPLEMENTED);
        assert.ok(farm.output.includes(`  gRPC       ${address}  (${name})`), farm.output.join('\n'));
      }
    },
    'grpc.reflection': async ({ farm }) => {
      assert.equal(await reflectionStatus(farm), status.UNIMPLEMENTED);
    },
    'models_from.hosts models_from.networks models_from.cache_dir models_from.prefetch': async ({
      farm,
      server,
      askedAtFirst,
    }) => {
      // Front ends read the networks; what only GPU workers need comes when they need it.
      assert.ok(!askedAtFirst.includes('/audio_encoder.onnx'));
      assert.equal(await at(MOUTH)(farm, 'fetched'), 'blue');
      const asked = server.requests.filter(({ status: answer }) => answer === 200).map(({ path: one }) => one);
      assert.equal(asked.filter((one) => one === '/audio_encoder.onnx').length, 1);
      assert.equal(asked.filter((one) => one === '/crop.onnx').length, 1, 'once for all processes');
      const cached = await readdir(path.join(farm.folder, 'fetched'), { recursive: true });
      assert.ok(cached.some((name) => path.basename(name) === 'crop.onnx'));
    },
    'models_from.buckets': async ({ farm }) => {
      assert.equal(await at(MOUTH)(farm, 'stored'), 'blue');
    },
    'models_from.cache_gb': async ({ farm }) => {
      await assert.rejects(farm.frames('huge'), /models_from\.cache_gb allows 0\.00 GB/);
    },
    'storage.driver storage.root': async ({ farm, receipt }) => {
      await access(path.join(farm.folder, 'kept', 'renders', receipt.render_id, 'receipt.json'));
      const other = path.join(farm.folder, 'other.yaml');
      await writeFile(other, 'storage: { driver: ftp }\n');
      assert.match(await farmSays('doctor', '--config', other), /storage\.driver: got "ftp"; .*local/);
    },
    'storage.prepared_dir': async ({ farm }) => {
      const made = await readdir(path.join(farm.folder, 'made'), { recursive: true });
      assert.ok(made.some((name) => name.endsWith('.picture')));
      await assert.rejects(access(path.join(farm.folder, 'kept', 'prepared')), { code: 'ENOENT' });
    },
    'storage.segment_cache_gb': async ({ farm }) => {
      const asked = { output: 'mp4', cache: true } as const;
      const first = await farm.render('model_path', 0.2, asked);
      const again = await farm.render('model_path', 0.2, asked);
      assert.deepEqual([first.segments_cached, again.segments_cached], [0, 1]);
      assert.equal(again.video?.sha256, first.video?.sha256);
    },
    'logging.log_inference_times': async ({ farm }) => {
      const [line = ''] = farm.output.filter((text) => text.includes('inference times'));
      assert.match(line, /inference times .*model=\S+ .*frames=\d+ .*inference_ms/);
    },
    'logging.log_compositing_times': async ({ farm }) => {
      const [line = ''] = farm.output.filter((text) => text.includes('compositing times'));
      assert.match(line, /compositing times .*composite_ms/);
    },
    'logging.log_cache_stats': async ({ farm }) => {
      const lines = () => farm.output.filter((text) => text.includes('cache stats'));
      assert.match(lines()[0] ?? '', /cache stats .*models=\d+ .*used_mb=\d+ .*limit_mb=\d+/);
    },
    'logging.log_gpu_utilization': async ({ farm }) => {
      const lines = farm.output.filter((text) => text.includes('gpu utilization'));
      assert.match(lines[0] ?? '', /gpu utilization .*busy_percent=\d+ .*jobs=\d+/);
    },
    'logging.save_debug_files': async ({ farm }) => {
      const root = path.join(farm.folder, 'kept', 'debug');
      const folders = await readdir(root);
      const files = await readdir(root, { recursive: true });
      assert.ok(folders.length > 0 && folders.every((name) => name.startsWith('gpu-0-')), folders.join());
      for (const name of ['request.json', 'sound.f32'])
        assert.ok(
          files.some((file) => path.basename(file) === name),
          name,
        );
    },
    'logging.sample_rate logging.access_log': async ({ farm }) => {
      const requests = 3 * SAMPLE_RATE;
      for (let each = 0; each < requests; each++)
        await fetch(`${farm.url}/healthz`, { headers: { 'x-request-id': `sampled-${each}` } });
      const lines = () => farm.output.filter((line) => line.includes('request=sampled-')).length;
      await until('the lines have come', () => lines() === requests / SAMPLE_RATE);
    },
    'logging.level logging.log_level': async ({ farm }) => {
      assert.ok(
        farm.output.some((line) => line.includes('render planned')),
        'the older name wins',
      );
    },
  },
};

/** What is said of models that cannot be used, by the farm and by `farm doctor`. */
export async function judgements({ farm, doctor }: Bench) {
  const { models } = await farm.client.models();
  return Object.entries(BROKEN).map(([id, { because }]) => {
    const problems = models.find((model) => model.id === id)?.problems.join('\n') ?? '';
    return { id, because, problems, doctor: doctor.split('\n').find((line) => line.includes(`model ${id} `)) ?? '' };
  });
}
