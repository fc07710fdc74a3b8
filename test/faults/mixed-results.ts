import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import type { Frame, Open, StreamRequest } from '../../api/grpc/messages/farm.ts';
import type { CompositeBatchResponse } from '../../api/grpc/messages/monolithic.ts';
import type { NodeFarmClient } from '../../client/node/farm-client.ts';
import { type Message, MONOLITHIC, send, type TestClient } from '../grpc/clients.ts';
import { decodeFrames } from '../support/ffprobe.ts';
import { SMALL_PICTURE } from '../support/small-avatar.ts';
import { syllables } from '../support/sound.ts';
import { visualFrames } from '../support/visual-frames.ts';

/** What comes out of a farm, decoded: versions may write a picture in other bytes, but it is the same picture. */

const LIVE_FRAMES = 8;
const SAMPLES_PER_FRAME = 640;
const GIVEN = visualFrames(LIVE_FRAMES).floats;
/** JPEGs of two versions may differ by rounding in single values. */
const JPEG_DIFFERENCE = 2;
/** Of a mean over a picture: x264 makes other choices where values differ by one. */
const VIDEO_DIFFERENCE = 1.5;

/** Frames as RGB. */
export type Pictures = readonly Uint8Array[];

export interface MixedResults {
  readonly video: Pictures;
  readonly files: Pictures;
  readonly unary: Pictures;
  readonly unaryWithVisualFrames: Pictures;
  readonly stream: Pictures;
  /** GPUs that made them. */
  readonly gpus: readonly number[];
}

export interface Doors {
  readonly client: NodeFarmClient;
  readonly grpc: TestClient;
  /** With `speech.wav` in it, and room for videos. */
  readonly folder: string;
}

/** Everything that a farm makes, asked for at once; all of it must come. */
export async function allResults(doors: Doors): Promise<MixedResults> {
  const [video, files, unary, given, stream] = await Promise.all([
    videoOf(doors),
    filesOf(doors),
    unaryOf(doors.grpc),
    unaryOf(doors.grpc, GIVEN),
    streamOf(doors.grpc),
  ]);
  return {
    ...{ video: video.pictures, files: files.pictures, stream: stream.pictures },
    ...{ unary: unary.pictures, unaryWithVisualFrames: given.pictures },
    gpus: [...new Set([video, files, unary, given, stream].flatMap(({ gpus }) => gpus))].sort(),
  };
}

/** Checks that two farms made the same pictures. */
export function assertSame(got: MixedResults, expected: MixedResults, message: string): void {
  for (const name of ['files', 'unary', 'unaryWithVisualFrames', 'stream'] as const) {
    const most = differences(got[name], expected[name], `${name} ${message}`, mostOf);
    assert.ok(Math.max(...most) <= JPEG_DIFFERENCE, `${name} ${message}: differences ${most}`);
  }
  const mean = differences(got.video, expected.video, `video ${message}`, meanOf);
  assert.ok(Math.max(...mean) <= VIDEO_DIFFERENCE, `video ${message}: differences ${mean}`);
}

/** Checks that `assertSame` would see a frame in the place of the one beside it. */
export function assertDistinct({ video, files, unary, unaryWithVisualFrames, stream }: MixedResults): void {
  for (const pictures of [files, unary, unaryWithVisualFrames, stream]) {
    assert.ok(leastBetweenNeighbours(pictures, mostOf) > 2 * JPEG_DIFFERENCE);
  }
  assert.ok(leastBetweenNeighbours(video, meanOf) > 2 * VIDEO_DIFFERENCE);
}

function leastBetweenNeighbours(pictures: Pictures, differenceOf: Difference): number {
  return Math.min(...pictures.slice(1).map((each, at) => differenceOf(each, pictures[at] as Uint8Array)));
}

type Difference = (one: Uint8Array, other: Uint8Array) => number;

function differences(got: Pictures, expected: Pictures, message: string, differenceOf: Difference): number[] {
  assert.equal(got.length, expected.length, `number of frames: ${message}`);
  return got.map((each, at) => differenceOf(each, expected[at] as Uint8Array));
}

function mostOf(one: Uint8Array, other: Uint8Array): number {
  return one.reduce((most, value, at) => Math.max(most, Math.abs(value - (other[at] as number))), 0);
}

function meanOf(one: Uint8Array, other: Uint8Array): number {
  return one.reduce((sum, value, at) => sum + Math.abs(value - (other[at] as number)), 0) / one.length;
}

interface Made {
  readonly pictures: Pictures;
  readonly gpus: readonly number[];
}

async function videoOf({ client, folder }: Doors): Promise<Made> {
  const { id } = await client.submit(path.join(folder, 'speech.wav'));
  await client.finished(id);
  const file = path.join(folder, `${id}.mp4`);
  await client.saveVideo(id, file);
  const pictures = await decodeFrames(file, SMALL_PICTURE.width, SMALL_PICTURE.height);
  await rm(file);
  return { pictures, gpus: await gpusOf(client, id) };
}

async function filesOf({ client, folder }: Doors): Promise<Made> {
  const { id } = await client.submit(path.join(folder, 'speech.wav'), { output: 'frames' });
  const { frames } = await client.finished(id);
  const files = await Promise.all(Array.from({ length: frames.total ?? 0 }, (_, at) => client.frame(id, at)));
  return { pictures: await Promise.all(files.map(decoded)), gpus: await gpusOf(client, id) };
}

async function gpusOf(client: NodeFarmClient, id: string): Promise<number[]> {
  return (await client.receipt(id)).segments.map(({ gpu }) => gpu);
}

/** @param visual_frames none: the avatar's own pictures. */
export async function unaryOf(grpc: TestClient, visual_frames: Buffer = Buffer.alloc(0)): Promise<Made> {
  const raw_audio = soundOf(LIVE_FRAMES);
  const message = { model_id: 'small', batch_size: LIVE_FRAMES, raw_audio, visual_frames, sample_rate: 16_000 };
  const answer = await grpc.unary<CompositeBatchResponse>(MONOLITHIC, 'InferBatchComposite', message);
  assert.ok(answer.success, answer.error);
  return { pictures: await Promise.all(answer.composited_frames.map(decoded)), gpus: [answer.gpu_id] };
}

async function streamOf(grpc: TestClient): Promise<Made> {
  const call = grpc.stream();
  const answer = framesOf(call as AsyncIterable<Message>);
  await send(call, { open: { model_id: 'small' } as Open } as StreamRequest);
  const sound = soundOf(3 * LIVE_FRAMES);
  for (let at = 0; at < sound.length; at += 5000) await send(call, { audio: sound.subarray(at, at + 5000) });
  call.end();
  const frames = await answer;
  assert.deepEqual(
    frames.map(({ frame_index }) => frame_index),
    Array.from({ length: 3 * LIVE_FRAMES }, (_, index) => index),
  );
  return {
    pictures: await Promise.all(frames.map(({ data }) => decoded(data))),
    gpus: frames.map(({ gpu_id }) => gpu_id),
  };
}

async function framesOf(call: AsyncIterable<Message>): Promise<Frame[]> {
  const frames: Frame[] = [];
  for await (const { frame } of call) if (frame) frames.push(frame as Frame);
  return frames;
}

function soundOf(frames: number): Buffer {
  const samples = syllables((frames * SAMPLES_PER_FRAME) / 16_000);
  return Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
}

/** A JPEG, or RGB as it is. */
async function decoded(picture: Uint8Array): Promise<Uint8Array> {
  const isJpeg = picture[0] === 0xff && picture[1] === 0xd8;
  return isJpeg ? await sharp(picture).raw().toBuffer() : picture;
}
