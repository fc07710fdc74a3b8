import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceGrowth } from '../../worker/models/memory-probe.ts';
import { parseDeviceMemory } from '../../worker/onnx/nvidia-smi.ts';

const MIB = 2 ** 20;

test('a process finds its own memory among those of a device', () => {
  const apps = '811, 310\n4242, 1556\n9001, 20\n';
  assert.deepEqual(parseDeviceMemory(apps, '1890\n', 4242), { own: 1556 * MIB, all: 1890 * MIB });
});

test('a process that the driver does not list, as in a container, has the figure of the device only', () => {
  assert.deepEqual(parseDeviceMemory('', '1890\n', 4242), { own: undefined, all: 1890 * MIB });
  assert.deepEqual(parseDeviceMemory('4242, [N/A]\n', '1890\n', 4242), { own: undefined, all: 1890 * MIB });
});

test('an answer without numbers is no answer', () => {
  assert.equal(parseDeviceMemory('', 'No devices were found', 4242), undefined);
  assert.equal(parseDeviceMemory('', '[N/A]', 4242), undefined);
});

test('growth is that of the process where it is known, from nothing when it was not there, else that of the device', () => {
  const before = { own: undefined, all: 100 * MIB };
  assert.equal(deviceGrowth(before, { own: 500 * MIB, all: 900 * MIB }), 500 * MIB);
  assert.equal(deviceGrowth({ own: 200 * MIB, all: 0 }, { own: 500 * MIB, all: 0 }), 300 * MIB);
  assert.equal(deviceGrowth(before, { own: undefined, all: 900 * MIB }), 800 * MIB);
});
