import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { ERROR_CATALOGUE } from '../../../shared/errors/catalogue.ts';
import { FARM, farmCode, MONOLITHIC, methodOf, type TestClient } from '../../grpc/clients.ts';
import { mutateBytes, nastyNumber, nastyText } from '../mutate.ts';
import type { Random } from '../random.ts';
import { show } from './refusals.ts';

/** All calls of both services, with messages that are right in part, and with bytes that are none. */

const CALLS = [
  ...['InferBatchComposite', 'ListModels', 'LoadModel', 'UnloadModel', 'GetModelStats', 'Health'].map(
    (name) => [MONOLITHIC, name] as const,
  ),
  ...['Stream', 'SubmitRender', 'SubmitBatch', 'EstimateRender', 'GetRender', 'WatchRender', 'CancelRender'].map(
    (name) => [FARM, name] as const,
  ),
];
/** These say that the farm itself is at fault. */
const FAULTS = [status.INTERNAL, status.UNKNOWN, status.DATA_LOSS, status.UNIMPLEMENTED];
/** Far more than the farm waits for a GPU here, and than a busy machine takes: a call that lasts longer hangs. */
const CALL_MS = 15_000;
/** A watched render that does not move on is watched for so long. */
const WATCH_MS = 200;
/** Calls that take several messages, and how many of them are sent. */
const STREAMING: ReadonlySet<string> = new Set(['Stream', 'SubmitRender', 'SubmitBatch']);
const PIECES = 4;

/** Any call, with one to some messages. @param renderIds renders that there are. */
export function grpcDoor(client: TestClient, renderIds: readonly string[]) {
  return async (random: Random) => {
    const [service, name] = random.pick(CALLS);
    const count = STREAMING.has(name) ? 1 + random.below(PIECES) : 1;
    const messages = Array.from({ length: count }, (_, place) => {
      const bytes = encode(service, name, messageFor(random, name, place, renderIds));
      if (random.chance(0.1)) return random.bytes(random.below(40));
      return random.chance(0.25) ? mutateBytes(random, bytes) : bytes;
    });
    await call(client, methodOf(service, name).path, messages, name === 'WatchRender');
  };
}

/** Streams of sound in any form, in pieces of any length, with samples that are none. */
export function liveSoundDoor(client: TestClient) {
  const { path } = methodOf(FARM, 'Stream');
  return async (random: Random) => {
    const open = {
      model_id: 'demo',
      sample_rate: random.chance(0.7) ? random.pick([8000, 16_000, 22_050, 44_100, 48_000]) : int32(random),
      sample_format: random.pick(['F32LE', 'S16LE']),
      latency: random.pick(['EXACT', 'LOW']),
      fill_gaps_after_ms: random.pick([0, 0, 100, 40]),
      catch_up: random.pick(['KEEP', 'SKIP']),
    };
    const pieces = Array.from({ length: random.below(6) }, () => ({ audio: samples(random) }));
    const messages = [{ open }, ...pieces].map((message) => encode(FARM, 'Stream', message));
    await call(client, path, messages, false);
  };
}

function samples(random: Random): Buffer {
  const bytes = Buffer.alloc(random.pick([0, 1, 2, 3, 5, 640, 1281, 4000, 64_000]));
  if (random.chance(0.3)) return mutateBytes(random, bytes);
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    bytes.writeFloatLE(random.chance(0.0005) ? nastyNumber(random) : random.next() - 0.5, at);
  }
  return bytes;
}

function int32(random: Random): number {
  return Math.trunc(nastyNumber(random)) | 0;
}

/** A message of a call, in which each field is left out, right, or anything of its type. */
function messageFor(random: Random, name: string, place: number, renderIds: readonly string[]): object {
  const text = (right: string) => (random.chance(0.5) ? right : nastyText(random).toWellFormed());
  const number = (right: number) => (random.chance(0.5) ? right : int32(random));
  const bytes = (length: number) => random.bytes(random.chance(0.5) ? length : random.below(200));
  const choice = (...names: string[]) => random.pick(names);
  const fields: Record<string, () => unknown> = {
    ...{ model_id: () => text('demo'), batch_size: () => number(2), start_frame_idx: () => number(0) },
    ...{ raw_audio: () => bytes(128), audio_features: () => bytes(64), visual_frames: () => bytes(64) },
    ...{ sample_rate: () => number(16_000), preferred_gpu: () => number(0), jpeg_quality: () => number(80) },
    ...{ render_id: () => text(random.pick(renderIds)), preview: () => random.chance(0.5) },
    ...{
      file_name: () => text('a.wav'),
      audio_seconds: () => nastyNumber(random),
      idempotency_key: () => text(String(random.below(1000))),
    },
    ...{ audio_url: () => nastyText(random).toWellFormed(), to_frame: () => number(9) },
    ...{
      fill_gaps_after_ms: () => number(100),
      latency: () => choice('EXACT', 'LOW'),
      catch_up: () => choice('KEEP', 'SKIP'),
    },
    ...{ sample_format: () => choice('F32LE', 'S16LE') },
    output: () => (name === 'Stream' ? choice('JPEG', 'RAW') : choice('MP4', 'FRAMES')),
  };
  const filled = Object.fromEntries(random.some(Object.entries(fields), 0.6).map(([field, make]) => [field, make()]));
  const isFirst = random.chance(place === 0 ? 0.9 : 0.1);
  if (name === 'Stream') return isFirst ? { open: filled } : { audio: samples(random) };
  if (STREAMING.has(name)) return isFirst ? { spec: filled } : { audio: bytes(100) };
  return filled;
}

function encode(service: string, name: string, message: object): Buffer {
  return methodOf(service, name).requestSerialize(message);
}

/** Sends the messages and reads all answers. Rejects when the farm is at fault, or says what is in no catalogue. */
async function call(client: TestClient, path: string, messages: readonly Buffer[], isWatch: boolean): Promise<void> {
  const raw = (bytes: Buffer) => bytes;
  const running = client.makeBidiStreamRequest(path, raw, raw, new Metadata(), { deadline: Date.now() + CALL_MS });
  const ended = Promise.withResolvers<ServiceError>();
  running.on('status', (answer) => ended.resolve(answer as ServiceError));
  running.on('error', () => {});
  running.resume();
  for (const message of messages) running.write(message);
  running.end();
  const patience = isWatch ? setTimeout(() => running.cancel(), WATCH_MS) : undefined;
  const answer = await ended.promise;
  clearTimeout(patience);
  const fault = faultOf(answer, isWatch);
  if (fault) throw new Error(`${path}: ${fault}\n  messages: ${messages.map((bytes) => show(bytes)).join(' ')}`);
}

function faultOf(answer: ServiceError, isWatch: boolean): string | undefined {
  const { code, details } = answer;
  if (code === status.OK || (isWatch && code === status.CANCELLED)) return undefined;
  const named = String(farmCode(answer));
  if (FAULTS.includes(code)) return `${status[code]}: ${details}`;
  if (!(named in ERROR_CATALOGUE)) return `${status[code]} without a code of the catalogue: ${details}`;
  const expected = ERROR_CATALOGUE[named as keyof typeof ERROR_CATALOGUE].grpcStatus;
  return expected === code ? undefined : `${named} with ${status[code]}`;
}
