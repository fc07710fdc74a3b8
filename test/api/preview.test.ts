import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { before, describe, it } from 'node:test';
import { artifactKeys } from '../../shared/artifacts.ts';
import { SocketClient } from '../live/socket-client.ts';
import { startApi } from '../support/api.ts';

const FRAMES = 75;

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
    const answer = await fetch(`${url}/v1/renders/${id}/preview?as=mjpeg&from=70`);
    assert.equal(answer.headers.get('content-type'), 'multipart/x-mixed-replace; boundary=frame');
    const parts = (await answer.text()).split('--frame').slice(1, -1);
    assert.deepEqual(
      parts.map((part) => /x-frame-index: (\d+)\r\n\r\n(.*)\r\n/.exec(part)?.slice(1)),
      [70, 71, 72, 73, 74].map((frame) => [`${frame}`, pictureOf(frame)]),
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
    assert.equal(await codeOf(`${await renderIn('completed', { output: 'mp4' })}/preview?as=mjpeg`), 'output_not_kept');
    assert.equal(await codeOf('r0mwsm6f20-e16991b1ff/preview?as=mjpeg'), 'render_unknown');
    assert.equal(await codeOf(`${id}/preview?as=gif`), 'request_invalid');
  });
});
