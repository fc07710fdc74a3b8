import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CheckpointFile } from '../../worker/checkpoints/checkpoint-file.ts';
import { TensorLayout } from '../../worker/checkpoints/tensor-layout.ts';
import { mutateBytes } from '../fuzz/mutate.ts';
import { Random } from '../fuzz/random.ts';

/** Written by PyTorch 1.13: torch/write_fixtures.py. */
const FIXTURES = new URL('./fixtures/', import.meta.url).pathname;
const fixture = (name: string) => path.join(FIXTURES, name);
/** Property tests of the reader take more with CHECKPOINT_CASES. */
const CASES = Number(process.env.CHECKPOINT_CASES ?? 120);

const GRID = Array.from({ length: 24 }, (_, index) => index / 8 - 1);
const TURNED = Array.from({ length: 24 }, (_, index) => GRID[(index % 4) * 6 + Math.floor(index / 4)]);
const EXPECTED: Readonly<Record<string, { shape: number[]; values: (number | undefined)[] }>> = {
  plain: { shape: [4, 6], values: GRID },
  window: { shape: [2, 3], values: [7, 9, 11, 13, 15, 17].map((index) => GRID[index]) },
  turned: { shape: [6, 4], values: TURNED },
  spread: { shape: [3, 2], values: [0.5, 0.5, -0.25, -0.25, 3, 3] },
  tied_a: { shape: [3], values: [0.5, -0.25, 3] },
  tied_b: { shape: [3], values: [0.5, -0.25, 3] },
  half: { shape: [6], values: [1.5, -2, 2 ** -14, 2 ** -24, 65504, Infinity] },
  brain: { shape: [4], values: [1.5, -2, 3.140625, Math.fround(1.0012e30)] },
  double: { shape: [2], values: [Math.fround(0.1), Math.fround(-1e-3)] },
  scalar: { shape: [], values: [7.25] },
  empty: { shape: [0, 3], values: [] },
  parameter: { shape: [2], values: [2, 4] },
};

describe('a checkpoint of PyTorch', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'farm-checkpoints-'));
  });
  after(async () => await rm(folder, { recursive: true, force: true }));

  for (const name of ['tensors.pth', 'tensors-legacy.pth', 'tensors-protocol-4.pth']) {
    it(`gives its tensors: views, tied ones, halves and parameters (${name})`, async () => {
      await using checkpoint = await CheckpointFile.open(fixture(name));
      for (const [key, { shape, values }] of Object.entries(EXPECTED)) {
        const tensor = tensorIn(checkpoint, key);
        assert.deepEqual(tensor.shape, shape, key);
        const read = await checkpoint.read(tensor);
        assert.equal(read.length, values.length, key);
        for (const [index, value = Number.NaN] of values.entries()) {
          const error = Math.abs((read[index] ?? Number.NaN) - value);
          assert.ok(value === read[index] || error <= Math.abs(value) / 100, `${key}[${index}] is ${read[index]}`);
        }
      }
      assert.equal(tensorIn(checkpoint, 'tied_a').storage, tensorIn(checkpoint, 'tied_b').storage);
      await assert.rejects(checkpoint.read(tensorIn(checkpoint, 'count')), /holds int64, not floating-point numbers/);
    });
  }

  for (const name of ['training.pth', 'training-legacy.pth']) {
    it(`gives what training loops save beside the network (${name})`, async () => {
      await using checkpoint = await CheckpointFile.open(fixture(name));
      const top = checkpoint.value as Map<string, unknown>;
      const plain = ['epoch', 'best', 'loss', 'seed', 'sizes', 'names'].map((key) => top.get(key));
      assert.deepEqual(plain, [7, null, 0.25, 2n ** 70n, [1, [2, 3]], ['größe', 'x'.repeat(300)]]);
      const weights = (top.get('model') as Map<string, TensorLayout>).get('module.0.weight');
      assert.deepEqual(weights?.shape, [3, 2, 3, 3]);
      const optimizer = top.get('optimizer') as Map<string, Map<number, Map<string, unknown>>>;
      assert.ok(optimizer.get('state')?.get(0)?.get('exp_avg') instanceof TensorLayout);
    });
  }

  it('runs nothing, and says by name what would have been run', async () => {
    await refused(
      'bomb.pth',
      /bomb\.pth cannot be read: its pickle names posix\.system: only tensors.*nothing .* is run/,
    );
    assert.equal(existsSync('/tmp/checkpoint-was-run'), false);
    await refused('whole-network.pth', /its pickle names torch\.nn\.modules\.container\.Sequential/);
    await refused('script.pth', /TorchScript, which is not run/);
  });

  it('refuses what calls, builds or refers to anything else', async () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      ['cbuiltins\neval\n', /names builtins\.eval/],
      ['\x8c\x08builtins\x8c\x04exec\x93', /names builtins\.exec/],
      ['ctorch\nFloatStorage\n)R', /calls torch\.FloatStorage/],
      ['K\x01)R', /calls what is no function/],
      ['ccollections\nOrderedDict\n)\x81', /the operation 0x81 at byte \d+, which no state dict needs/],
      ['ios\nsystem\n', /the operation 0x69/],
      ['\x82\x01', /the operation 0x82/],
      ['X\x06\0\0\0moduleQ', /refers to something outside it/],
      ['(X\x06\0\0\0module)tQ', /refers to module outside it/],
      ['\x8a\xff', /whole number of 255 bytes/],
      ['X\xff\xff\xff\x7fab', /pickle was cut off/],
      ['\x8d\xff\xff\xff\xff\xff\xff\xff\xffab', /pickle was cut off/],
      ['h\x07', /no value 7/],
      ['t', /a mark is missing/],
      ['K\x01K\x02a', /appends to what is no list/],
      ['}K\x01s', /takes a value that is not there/],
      ['K\x01)b', /attributes of what is no dict/],
    ];
    const legacy = await readFile(fixture('tensors-legacy.pth'));
    // The content is the fourth pickle: it begins after the facts about the machine.
    const contentAt = legacy.indexOf('\x80\x02ccollections', 0, 'latin1');
    assert.ok(contentAt > 0);
    for (const [program, message] of cases) {
      const bytes = Buffer.concat([legacy.subarray(0, contentAt), Buffer.from(`\x80\x02${program}.`, 'latin1')]);
      await refusedBytes(bytes, message);
    }
  });

  it('refuses a file that was cut off, anywhere', async () => {
    for (const name of ['training.pth', 'training-legacy.pth']) {
      const whole = await readFile(fixture(name));
      for (let length = 0; length < whole.length; length += Math.ceil(whole.length / 40)) {
        await refusedBytes(whole.subarray(0, length), /cut off|no checkpoint of PyTorch/);
      }
    }
  });

  it('refuses damaged values by their checksum, and entries that PyTorch does not write', async () => {
    const whole = await readFile(fixture('tensors.pth'));
    const damaged = Buffer.from(whole);
    // The second value of `plain`, of 24 that stand alone in an entry.
    const at = damaged.indexOf(Buffer.from(Float32Array.from(GRID).buffer));
    damaged[at + 4] = (damaged[at + 4] ?? 0) ^ 1;
    await using checkpoint = await CheckpointFile.open(await place(damaged));
    await assert.rejects(checkpoint.read(tensorIn(checkpoint, 'plain')), {
      code: 'checkpoint_unreadable',
      message: /"tensors\/data\/0" in it is damaged: its checksum is another/,
    });
    const compressed = Buffer.from(whole);
    const entry = compressed.indexOf('PK\x01\x02', 0, 'latin1');
    compressed.writeUInt16LE(8, entry + 10);
    await refusedBytes(compressed, /"tensors\/data\.pkl" in it is compressed/);
    await refusedBytes(Buffer.from('PK\x03\x04 and nothing else'), /has no zip directory/);
  });

  it('is read where it is missing, a folder or empty: with a reason', async () => {
    await assert.rejects(CheckpointFile.open(path.join(folder, 'none.pth')), { code: 'input_unreadable' });
    await assert.rejects(CheckpointFile.open(folder), { code: 'input_unreadable', message: /is a folder, not a file/ });
    await refusedBytes(Buffer.alloc(0), /is no checkpoint of PyTorch/);
  });

  it(`is read or refused with one code, whatever ${CASES} changes do to it`, async () => {
    const originals = await Promise.all(
      ['tensors.pth', 'tensors-legacy.pth', 'training.pth', 'training-legacy.pth'].map((name) =>
        readFile(fixture(name)),
      ),
    );
    let refusals = 0;
    for (let index = 0; index < CASES; index++) {
      const random = new Random('checkpoints', index);
      const file = await place(mutateBytes(random, random.pick(originals), 4));
      try {
        await using checkpoint = await CheckpointFile.open(file);
        for (const tensor of tensorsIn(checkpoint.value)) await checkpoint.read(tensor);
      } catch (error) {
        refusals++;
        assert.equal((error as { code?: string }).code, 'checkpoint_unreadable', `case ${index}: ${error}`);
      }
    }
    assert.ok(refusals > CASES / 2, `${refusals} of ${CASES} were refused`);
  });

  async function place(bytes: Buffer): Promise<string> {
    const file = path.join(folder, 'case.pth');
    await writeFile(file, bytes);
    return file;
  }

  async function refusedBytes(bytes: Buffer, message: RegExp): Promise<void> {
    await assert.rejects(CheckpointFile.open(await place(bytes)), { code: 'checkpoint_unreadable', message });
  }
});

async function refused(name: string, message: RegExp): Promise<void> {
  await assert.rejects(CheckpointFile.open(fixture(name)), { code: 'checkpoint_unreadable', message });
}

function tensorIn({ value }: CheckpointFile, key: string): TensorLayout {
  const tensor = (value as Map<string, unknown>).get(key);
  assert.ok(tensor instanceof TensorLayout, key);
  return tensor;
}

/** Floating-point tensors a few levels deep. */
function tensorsIn(value: unknown, levels = 4): TensorLayout[] {
  if (value instanceof TensorLayout) return value.storage.type.includes('float') ? [value] : [];
  if (levels === 0) return [];
  const inner = value instanceof Map ? [...value.values()] : Array.isArray(value) ? value : [];
  return inner.flatMap((part) => tensorsIn(part, levels - 1));
}
