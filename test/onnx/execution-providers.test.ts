import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { librariesNotFound, openOnFirstProvider, whyUnavailable } from '../../worker/onnx/execution-providers.ts';

test('the CPU is always available', () => {
  assert.equal(whyUnavailable('cpu'), undefined);
});

test('a provider that is not built in is refused with those that are', () => {
  assert.match(whyUnavailable('abacus') ?? '', /offers .*cpu.* only/);
});

test('CUDA without its library is passed over with the way to install it', (t) => {
  const reason = whyUnavailable('cuda');
  if (reason === undefined) return t.skip('the CUDA libraries are installed here');
  assert.match(reason, /setup:cuda|offers/);
});

test('the first provider that opens is used and the others are never asked together', async () => {
  const asked: string[] = [];
  const choice = await openOnFirstProvider(['abacus', 'webgpu', 'cpu'], async (provider) => {
    asked.push(provider);
    if (provider === 'webgpu') throw new Error('no adapter');
    return { provider };
  });
  assert.ok(choice.opened);
  assert.equal(choice.provider, 'cpu');
  assert.deepEqual(
    choice.passedOver.map(({ provider }) => provider),
    ['abacus', 'webgpu'],
  );
  assert.equal(choice.passedOver[1]?.reason, whyUnavailable('webgpu') ?? 'no adapter');
  assert.ok(!asked.includes('abacus'));
});

test('an error about the model ends the search', async () => {
  const refuse = async () => {
    throw new FarmError('model_unusable', 'wrong shape');
  };
  await assert.rejects(openOnFirstProvider(['cpu', 'abacus'], refuse), { code: 'model_unusable' });
});

test('an empty list of providers is a mistake of the configuration', async () => {
  await assert.rejects(
    openOnFirstProvider([], async () => ({})),
    { code: 'config_invalid' },
  );
});

test('libraries that a provider lacks are told from those that it has', () => {
  const output =
    '\tlibcublasLt.so.12 => not found\n\tlibm.so.6 => /lib/libm.so.6 (0x1)\n\tlibcudnn.so.9 => not found\n';
  assert.deepEqual(librariesNotFound(output), ['libcublasLt.so.12', 'libcudnn.so.9']);
});
