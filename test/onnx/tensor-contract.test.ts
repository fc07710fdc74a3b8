import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InferenceSession } from 'onnxruntime-node';
import { bindContract, type ModelContract } from '../../worker/onnx/tensor-contract.ts';

const CONTRACT: ModelContract = {
  role: 'test model',
  inputs: [{ name: 'x', dims: [6, 'S', 'S'] }],
  outputs: [{ name: 'y', dims: [3, 'S', 'S'] }],
  namedDims: { S: [160, 320] },
};

function tensor(
  name: string,
  shape: (number | string)[],
  type: 'float32' | 'float64' = 'float32',
): InferenceSession.ValueMetadata {
  return { name, isTensor: true, type, shape };
}

function reasonOf(inputs: InferenceSession.ValueMetadata[], outputs: InferenceSession.ValueMetadata[]): string {
  const result = bindContract(CONTRACT, inputs, outputs);
  assert.equal(result.fits, false);
  return result.reason;
}

test('a symbolic batch axis is dynamic and a number fixes it', () => {
  const dynamic = bindContract(CONTRACT, [tensor('x', ['b', 6, 160, 160])], [tensor('y', ['n', 3, 160, 160])]);
  assert.ok(dynamic.fits);
  assert.equal(dynamic.bound.batch, 'dynamic');
  const fixed = bindContract(CONTRACT, [tensor('x', ['b', 6, 160, 160])], [tensor('y', [4, 3, 160, 160])]);
  assert.ok(fixed.fits);
  assert.equal(fixed.bound.batch, 4);
});

test('a named size is taken from whichever tensor fixes it', () => {
  const result = bindContract(CONTRACT, [tensor('x', ['b', 6, 'h', 'w'])], [tensor('y', ['b', 3, 320, 320])]);
  assert.ok(result.fits);
  assert.deepEqual(result.bound.inputs, [
    { name: 'x', dims: [6, 320, 320], itemLength: 6 * 320 * 320, type: 'float32', use: 'always' },
  ]);
});

test('an input without a declared shape is left to the warm-up run', () => {
  assert.ok(bindContract(CONTRACT, [tensor('x', [])], [tensor('y', ['b', 3, 160, 160])]).fits);
});

test('further outputs are left alone and further inputs are refused', () => {
  const inputs = [tensor('x', ['b', 6, 160, 160])];
  const outputs = [tensor('y', ['b', 3, 160, 160])];
  assert.ok(bindContract(CONTRACT, inputs, [...outputs, tensor('z', [1])]).fits);
  assert.match(reasonOf([...inputs, tensor('z', [1])], outputs), /input "z" is unknown/);
});

test('the reason names every misfit, what was found and what is expected', () => {
  const reason = reasonOf([tensor('X', ['b', 6, 160, 160])], [tensor('y', ['b', 4, 160])]);
  assert.match(reason, /there is no input "x"/);
  assert.match(reason, /output "y" has 3 axes instead of 4/);
  assert.match(reason, /found X float32 \[b, 6, 160, 160\] → y float32 \[b, 4, 160\]/);
  assert.match(reason, /expected x float32 \[batch, 6, S, S\] → y float32 \[batch, 3, S, S\], S = 160 or 320/);
});

test('sizes that contradict each other, are not allowed or are fixed nowhere are refused', () => {
  const output = [tensor('y', ['b', 3, 160, 160])];
  assert.match(reasonOf([tensor('x', ['b', 6, 320, 320])], output), /the size S is 320 and 160 instead of 160 or 320/);
  assert.match(reasonOf([tensor('x', [1, 6, 160, 160])], [tensor('y', [2, 3, 160, 160])]), /fixed at both 1 and 2/);
  assert.match(reasonOf([tensor('x', ['b', 6, 'h', 'w'])], [tensor('y', ['b', 3, 96, 96])]), /S is 96 instead of/);
  assert.match(reasonOf([tensor('x', ['b', 6, 'h', 'w'])], [tensor('y', [])]), /the size S is fixed nowhere/);
});

test('a tensor of another type is refused', () => {
  const reason = reasonOf([tensor('x', ['b', 6, 160, 160], 'float64')], [tensor('y', ['b', 3, 160, 160])]);
  assert.match(reason, /input "x" is no float32 tensor; found x float64/);
});
