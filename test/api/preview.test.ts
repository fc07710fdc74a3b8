import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { VideoPreviews } from '../../api/renders/video-previews.ts';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { SocketClient } from '../live/socket-client.ts';
import { ffmpeg, lavfi } from '../media/media-files.ts';
import { startApi } from '../support/api.ts';
import { decodeFrames } from '../support/ffprobe.ts';
import { isFrame, watched } from '../support/mjpeg.ts';
import { until } from '../support/until.ts';

const FRAMES = 75;
/** Large enough that its frames do not fit into what lies between ffmpeg and a client. */
const SIZE = { width: 320, height: 180 };

describe('a render that is watched', async () => {
  const { app, artifacts, renderIn } = await startApi();
  let url: string;
  let id: string;
  const pictureOf = (frame: number) => `picture ${frame}`;

  before(async () => {
    url = await app.listen({ host: '127.0.0.1', port: 0 });
    id = await renderIn('completed', { output: 'frames' });
    for (let frame = 0; frame < FRAMES; frame++) {
      await artifacts.publish(artifactKeys.frame(id, frame), (path) => writeFile(path, pictureOf(frame)));
    }
  });

  it('is shown as MJPEG from the frame that was asked for to its end', async () => {
    const pictures = await watched(`${url}/v1/renders/${id}/preview?as=mjpeg&from=70`);
    assert.deepEqual(
      pictures.map(({ frameIndex, jpeg }) => [frameIndex, jpeg.toString()]),
      [70, 71, 72, 73, 74].map((frame) => [frame, pictureOf(frame)]),
    );
  });

  it('is shown over a WebSocket', async () => {
    await using client = await SocketClient.open(`${url.replace('http', 'ws')}/v1/renders/${id}/preview?from=73`);
    for (const index of [73, 74]) {
      const message = await client.next();
      assert.deepEqual(message?.frame && [message.frame.index, message.frame.timeMs, `${message.frame.jpeg}`], [
        index,
        index * 40,
        pictureOf(index),
      ]);
    }
    assert.deepEqual(await client.next(), { type: 'ended', frame_count: 2 });
    assert.equal((await client.closed).code, 1000);
  });

  it('says what cannot be shown', async () => {
    const codeOf = async (path: string) => (await app.inject(`/v1/renders/${path}`)).json().error.code;
    assert.equal(await codeOf(`${await renderIn('completed')}/preview?as=mjpeg`), 'storage_failed', 'its file is lost');
    assert.equal(await codeOf('r0mwsm6f20-e16991b1ff/preview?as=mjpeg'), 'render_unknown');
    assert.equal(await codeOf(`${id}/preview?as=gif`), 'request_invalid');
  });
});

describe('a finished video that is watched', async () => {
  const { app, artifacts, renderIn } = await startApi({ limits: { max_video_previews: 1 } });
  let url: string;
  let id: string;
  let shown: Uint8Array[];

  before(async () => {
    url = `${await app.listen({ host: '127.0.0.1', port: 0 })}/v1/renders`;
    id = await renderIn('completed');
    const source = lavfi(`testsrc2=s=${SIZE.width}x${SIZE.height}:r=25:d=${FRAMES / 25}`);
    await artifacts.publish(artifactKeys.video(id), (path) => ffmpeg(...source, '-pix_fmt', 'yuv420p', path));
    shown = await decodeFrames(artifacts.localPath(artifactKeys.video(id)), SIZE.width, SIZE.height);
  });

  const watch = (from: number, signal?: AbortSignal) =>
    fetch(`${url}/${id}/preview?as=mjpeg&from=${from}`, signal ? { signal } : {});
  const programs = async () => {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'comm=', '--ppid', `${process.pid}`]);
    return stdout.split('\n').filter((name) => name === 'ffmpeg').length;
  };

  it('is shown from the frame that was asked for to its end, as MJPEG', async () => {
    const pictures = await watched(`${url}/${id}/preview?as=mjpeg&from=71`);
    assert.deepEqual(
      pictures.map(({ frameIndex }) => frameIndex),
      [71, 72, 73, 74],
    );
    for (const { frameIndex, jpeg } of pictures) assert.ok(await isFrame(jpeg, shown, frameIndex), `${frameIndex}`);
  });

  it('is shown over a WebSocket, and has nothing behind its end', async () => {
    const open = (from: number) => SocketClient.open(`${url.replace('http', 'ws')}/${id}/preview?from=${from}`);
    await using client = await open(73);
    for (const index of [73, 74]) {
      const message = await client.next();
      assert.equal(message?.frame?.index, index);
      assert.ok(await isFrame(message.frame.jpeg, shown, index));
    }
    assert.deepEqual(await client.next(), { type: 'ended', frame_count: 2 });
    await using behind = await open(FRAMES);
    assert.deepEqual(await behind.next(), { type: 'ended', frame_count: 0 });
  });

  it('of 20 frames a second is shown from the right one, with its time', async () => {
    const slow = await renderIn('completed', { frameRate: 20 });
    const source = lavfi(`testsrc2=s=${SIZE.width}x${SIZE.height}:r=20:d=${FRAMES / 20}`);
    const path = artifacts.localPath(artifactKeys.video(slow));
    await artifacts.publish(artifactKeys.video(slow), (target) => ffmpeg(...source, '-pix_fmt', 'yuv420p', target));
    const own = await decodeFrames(path, SIZE.width, SIZE.height);
    await using client = await SocketClient.open(`${url.replace('http', 'ws')}/${slow}/preview?from=73`);
    for (const index of [73, 74]) {
      const message = await client.next();
      assert.deepEqual([message?.frame?.index, message?.frame?.timeMs], [index, index * 50]);
      assert.ok(message?.frame && (await isFrame(message.frame.jpeg, own, index)), `frame ${index}`);
    }
    assert.deepEqual(await client.next(), { type: 'ended', frame_count: 2 });
  });

  it('is shown to so many at once as the configuration lets, and ffmpeg ends with who has left', async () => {
    const left = new AbortController();
    assert.equal((await watch(0, left.signal)).status, 200);
    assert.equal(await programs(), 1);
    const refused = await watch(0);
    assert.equal(refused.status, 429);
    assert.equal(((await refused.json()) as { error: { code: string } }).error.code, 'previews_full');
    left.abort();
    await until('ffmpeg has ended', async () => (await programs()) === 0);
    const answer = await watch(FRAMES - 1);
    assert.equal(answer.status, 200);
    await answer.arrayBuffer();
  });

  it('is given up when nobody takes its frames', async () => {
    const videos = new VideoPreviews(1, 300);
    const path = artifacts.localPath(artifactKeys.video(id));
    const open = () =>
      videos.open(
        async () => ({ path, async [Symbol.asyncDispose]() {} }),
        { first: 0, count: FRAMES },
        new AbortController().signal,
      );
    const frames = open();
    assert.ok((await frames.next()).value);
    // While nothing is read here ffmpeg goes on: several frames are here when the next one is taken.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    assert.ok((await frames.next()).value);
    assert.throws(open, { code: 'previews_full' });
    await until('ffmpeg has ended', async () => (await programs()) === 0);
    await assert.rejects(frames.next(), { code: 'request_timed_out' });
    await open().return(undefined);
  });

  it('that cannot be decoded is answered with the reason', async () => {
    const broken = await renderIn('completed');
    const bytes = await readFile(artifacts.localPath(artifactKeys.video(id)));
    await artifacts.publish(artifactKeys.video(broken), (path) => writeFile(path, bytes.subarray(0, 500)));
    const answer = await fetch(`${url}/${broken}/preview?as=mjpeg`);
    assert.equal(((await answer.json()) as { error: { code: string } }).error.code, 'encode_failed');
  });

  it('ends with the front end, whoever still watches', async () => {
    assert.equal((await watch(0)).status, 200);
    await app.close();
    await until('ffmpeg has ended', async () => (await programs()) === 0);
  });
});
