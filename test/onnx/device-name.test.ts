import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { deviceName, vulkanDevice } from '../../worker/onnx/device-name.ts';
import { nvidiaDevice } from '../../worker/onnx/nvidia-smi.ts';

const NVIDIA = [
  '0, GPU-5e1a6c7e-0a35-2c1b-9d4e-111111111111, NVIDIA H100 80GB HBM3',
  '1, GPU-77aa6c7e-0a35-2c1b-9d4e-222222222222, NVIDIA RTX A4000',
  '',
].join('\n');

const vulkan = (...devices: [type: string, name: string][]) =>
  devices
    .map(
      ([type, name], i) =>
        `GPU${i}:\n\tdeviceType         = PHYSICAL_DEVICE_TYPE_${type}\n\tdeviceName         = ${name}\n`,
    )
    .join('');

test('the CUDA device is the first visible one, by index or by uuid', () => {
  assert.equal(nvidiaDevice(NVIDIA, undefined), 'NVIDIA H100 80GB HBM3');
  assert.equal(nvidiaDevice(NVIDIA, ['1', '0']), 'NVIDIA RTX A4000');
  assert.equal(nvidiaDevice(NVIDIA, ['GPU-77aa']), 'NVIDIA RTX A4000');
});

test('a CUDA device that is hidden or not listed has no name', () => {
  assert.equal(nvidiaDevice(NVIDIA, ['7']), undefined);
  assert.equal(nvidiaDevice(NVIDIA, ['']), undefined);
  assert.equal(nvidiaDevice('', undefined), undefined);
});

test('the WebGPU adapter is a GPU where there is one, a software renderer else', () => {
  const software: [string, string] = ['CPU', 'llvmpipe (LLVM 15.0.6, 256 bits)'];
  assert.equal(vulkanDevice(vulkan(software)), 'llvmpipe (LLVM 15.0.6, 256 bits)');
  const all = vulkan(software, ['INTEGRATED_GPU', 'Intel UHD'], ['DISCRETE_GPU', 'NVIDIA RTX A4000']);
  assert.equal(vulkanDevice(all), 'NVIDIA RTX A4000');
  assert.equal(vulkanDevice('Cannot create Vulkan instance.'), undefined);
});

test('every provider has a name here, whatever is installed', async () => {
  assert.match(await deviceName('cpu'), new RegExp(`, ${availableParallelism()} cores$`));
  for (const provider of ['cuda', 'webgpu', 'coreml']) assert.notEqual(await deviceName(provider), '');
});
