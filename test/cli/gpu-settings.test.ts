import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import { farmProcesses, GPU_NODE_OPTIONS } from '../../cli/supervisor/farm-processes.ts';
import { gpuTunables, toolEnvironment } from '../../shared/process/environment.ts';

const ROOT = path.join(import.meta.dirname, '../..');

describe('the settings of a GPU worker', () => {
  it('ask for huge pages, unless who starts the farm has settings of glibc', () => {
    const [gpu] = farmProcesses(1, undefined).filter(({ name }) => name === 'gpu-0');
    assert.equal(gpu?.environment.GLIBC_TUNABLES, gpuTunables().GLIBC_TUNABLES);
    assert.deepEqual(gpuTunables(''), { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' });
    assert.deepEqual(gpuTunables('glibc.malloc.check=3'), { GLIBC_TUNABLES: 'glibc.malloc.check=3' });
  });

  it('are not those of the programs that it starts', () => {
    const toolsOf = (GLIBC_TUNABLES: string) => toolEnvironment({ PATH: '/bin', GLIBC_TUNABLES });
    assert.deepEqual(toolsOf(gpuTunables('').GLIBC_TUNABLES), { PATH: '/bin' });
    assert.deepEqual(toolsOf('glibc.malloc.check=3'), { PATH: '/bin', GLIBC_TUNABLES: 'glibc.malloc.check=3' });
  });

  for (const file of [
    'docker-compose.yml',
    'docs/ops/systemd/lipsync-farm-gpu@.service',
    'docs/ops/kubernetes/base/gpu.yaml',
  ]) {
    it(`are those of ${file}`, async () => {
      const text = await readFile(path.join(ROOT, file), 'utf8');
      assert.match(text, /GLIBC_TUNABLES\W+(value: )?glibc\.malloc\.hugetlb=1/);
      for (const option of GPU_NODE_OPTIONS) assert.ok(text.includes(option), option);
    });
  }
});
