import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { farmProcesses } from '../../cli/supervisor/farm-processes.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { readEnvironment } from '../../shared/process/environment.ts';
import { CLOSING_MS } from '../../shared/process/shutdown.ts';

const FOLDER = fileURLToPath(new URL('../../docs/ops/systemd', import.meta.url));
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const UNITS = readdirSync(FOLDER).filter((name) => /\.(?:service|target)$/.test(name));
const WORKERS = ['lipsync-farm-api.service', 'lipsync-farm-media.service', 'lipsync-farm-gpu@.service'];

/** Values of a key of a unit, in their order. */
function valuesOf(unit: string, key: string): string[] {
  const lines = readFileSync(path.join(FOLDER, unit), 'utf8').split('\n');
  return lines.filter((line) => line.startsWith(`${key}=`)).map((line) => line.slice(key.length + 1));
}

describe('the units for systemd', () => {
  it('are well-formed, as systemd-analyze sees them', async (t) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-systemd-'));
    after(async () => await rm(folder, { recursive: true, force: true }));
    // A template is checked as one of its instances.
    const files = UNITS.map((name) => path.join(folder, name.replace('@.', '@1.')));
    for (const [index, file] of files.entries()) await copyFile(path.join(FOLDER, UNITS[index] as string), file);
    try {
      const { stderr } = await promisify(execFile)('systemd-analyze', ['verify', ...files], { timeout: 60_000 });
      const about = stderr.split('\n').filter((line) => line.includes('lipsync-farm'));
      assert.deepEqual(about.filter(isNoProgramMissing), []);
    } catch (error) {
      const { code, stderr = '' } = error as { code?: unknown; stderr?: string };
      if (code === 'ENOENT') return t.skip('skipped: systemd-analyze cannot be had here');
      // A machine that has no node or redis-server at /usr/bin says so, and no more.
      const about = stderr.split('\n').filter((line) => line.includes('lipsync-farm'));
      assert.ok(about.length > 0, String(error));
      assert.deepEqual(about.filter(isNoProgramMissing), []);
    }
  });

  it('run what `farm up` runs, with the same words', () => {
    const own = farmProcesses(1, undefined).map(({ nodeOptions = [], script, args }) =>
      [...nodeOptions, path.relative(ROOT, script), ...args].join(' ').replace('--gpu 0', '--gpu %i'),
    );
    const commands = WORKERS.map((unit) => valuesOf(unit, 'ExecStart')[0]?.replace('/usr/bin/node ', ''));
    assert.deepEqual(commands, own);
  });

  it('start a process again, and give it the time that its drain takes', () => {
    const { limits } = loadConfig(undefined, readEnvironment({}));
    for (const unit of WORKERS) {
      assert.deepEqual(valuesOf(unit, 'Restart'), ['always'], unit);
      assert.deepEqual(valuesOf(unit, 'KillSignal'), ['SIGTERM'], unit);
      // SIGTERM to all of the group would end ffmpeg below work that is still to be done.
      assert.deepEqual(valuesOf(unit, 'KillMode'), ['mixed'], unit);
      const [stop] = valuesOf(unit, 'TimeoutStopSec');
      assert.ok(Number(stop) > limits.drain_seconds + CLOSING_MS / 1000, `${unit}: ${stop}`);
    }
  });

  it('set variables that the farm knows, and may write where the configuration of the guide puts files', () => {
    for (const unit of WORKERS) {
      const pairs = valuesOf(unit, 'Environment').flatMap((line) => line.split(' ').map((pair) => pair.split('=')));
      const { FARM_CONFIG: file, ...variables } = Object.fromEntries(pairs) as Record<string, string>;
      assert.equal(file, '/etc/lipsync-farm/config.yaml');
      const guide = readFileSync(path.join(FOLDER, 'README.md'), 'utf8');
      const [, root = ''] = /storage:\n {2}root: (\S+)/.exec(guide) ?? [];
      loadConfig(undefined, readEnvironment({ ...variables, FARM_STORAGE__ROOT: root }));
      assert.deepEqual(valuesOf(unit, 'ReadWritePaths'), [root]);
    }
    const [redis = ''] = valuesOf('lipsync-farm-redis.service', 'ExecStart');
    assert.match(redis, /--appendonly yes/);
    assert.match(redis, /--maxmemory-policy noeviction/);
  });
});

const isNoProgramMissing = (line: string) => !/Command .* is not executable/.test(line);
