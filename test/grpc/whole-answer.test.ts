import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INFERENCE_SERVICE, serviceOf } from '../../api/grpc/protos.ts';
import { mouthsMessage } from '../../api/grpc/whole-answer.ts';

test('an answer with mouths has the bytes that protobuf gives it, and leaves no mouth behind', () => {
  const { InferBatch } = serviceOf(INFERENCE_SERVICE);
  assert.ok(InferBatch);
  const numbers = {
    inference_time_ms: 12.5,
    audio_processing_ms: 0,
    success: true,
    error: '',
    worker_id: 3,
    gpu_id: -1,
  };
  // Lengths on both sides of what one, two and three bytes hold.
  for (const lengths of [[], [0], [1, 127, 128, 16_384, 4 * 3 * 160 ** 2]]) {
    const outputs = lengths.map((length, at) => ({ data: Buffer.from(new ArrayBuffer(length)).fill(at + 1) }));
    const expected = InferBatch.responseSerialize({ outputs, ...numbers });
    const message = mouthsMessage({ outputs, ...numbers }, InferBatch.responseSerialize);
    assert.deepEqual([message[0], message.readUInt32BE(1)], [0, expected.length]);
    assert.deepEqual(message.subarray(5), expected);
    assert.ok(outputs.every(({ data }) => data.length === 0));
  }
});
