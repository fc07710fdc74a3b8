import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { FARM_SERVICE, MONOLITHIC_SERVICE, type ServiceName, serviceOf } from '../../api/grpc/protos.ts';

/** More than Node puts together with others into one piece of memory. */
const FRAME_BYTES = 20_000;
const frame = (value: number) => Buffer.alloc(FRAME_BYTES, value);

const methodOf = (service: ServiceName, name: string) => {
  const method = serviceOf(service)[name];
  assert.ok(method, name);
  return method;
};

test('the memory of an answer’s frames is given back once they are in its message, and then that of the message', async () => {
  const { responseSerialize, responseDeserialize } = methodOf(MONOLITHIC_SERVICE, 'InferBatchComposite');
  const frames = [frame(1), frame(2)];
  const message = responseSerialize({ success: true, composited_frames: frames });
  const sent = responseDeserialize(Buffer.from(message)) as { composited_frames: Buffer[] };
  assert.deepEqual(sent.composited_frames, [frame(1), frame(2)]);
  assert.deepEqual(
    frames.map(({ length }) => length),
    [0, 0],
  );
  await turn();
  assert.equal(message.length, 0);
});

test('the same of a frame of a stream', () => {
  const { responseSerialize, responseDeserialize } = methodOf(FARM_SERVICE, 'Stream');
  const data = frame(3);
  const sent = responseDeserialize(Buffer.from(responseSerialize({ frame: { index: 7, data } }))) as {
    frame: { data: Buffer };
  };
  assert.deepEqual([sent.frame.data, data.length], [frame(3), 0]);
});

test('a frame that is a part of other memory stays', () => {
  const { responseSerialize } = methodOf(MONOLITHIC_SERVICE, 'InferBatchComposite');
  const both = Buffer.alloc(2 * FRAME_BYTES, 4);
  responseSerialize({ success: true, composited_frames: [both.subarray(FRAME_BYTES)] });
  assert.equal(both.at(-1), 4);
});

test('a picture that several are shown stays', () => {
  const { responseSerialize } = methodOf(FARM_SERVICE, 'WatchRender');
  const preview = frame(5);
  responseSerialize({ preview_jpeg: preview });
  assert.equal(preview.length, FRAME_BYTES);
});
