import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { RestartWaits } from '../../cli/supervisor/restart-waits.ts';
import { type SilenceLimits, SupervisedProcess } from '../../cli/supervisor/supervised-process.ts';
import { Supervisor } from '../../cli/supervisor/supervisor.ts';
import { until } from '../support/until.ts';

const ENTRY = path.join(import.meta.dirname, 'supervised-entry.ts');
/** Never over for a process that does well, however busy the machine is. */
const PATIENT: SilenceLimits = { startMs: 60_000, hungMs: 60_000 };
/** Over for one that hangs, and perhaps for the one after it. */
const IMPATIENT = { startMs: 3000, hungMs: 2000 } as const;

describe('a process of the farm', { concurrency: true }, () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'farm-supervision-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  function supervise(how: string, limits: Partial<SilenceLimits> = {}) {
    const said: string[] = [];
    const supervised = new SupervisedProcess(
      { name: 'one', script: ENTRY, args: [how, path.join(folder, how)], environment: {} },
      {
        environment: {},
        inheritOverrides: true,
        onLine: (_, line) => said.push(line),
        drainMs: 5000,
        limits: { ...PATIENT, ...limits },
      },
      () => {},
    );
    const runsAgain = () => until('it runs again', () => said.includes('one runs again'));
    return { supervised, said, runsAgain };
  }

  it('that ends by itself is started again at once, and its state says how it ended', async () => {
    const { supervised, said, runsAgain } = supervise('crashes');
    await supervised.start();
    await runsAgain();
    assert.deepEqual(said, ['one ended unexpectedly (exit code 3); starting it again', 'one runs again']);
    assert.deepEqual(supervised.state, { name: 'one', state: 'running', restarts: 1, last_end: 'exit code 3' });
    await supervised.stop();
    assert.equal(supervised.pid, undefined);
  });

  it('whose main thread is blocked is ended and started again', async () => {
    const { supervised, said, runsAgain } = supervise('blocks', { hungMs: IMPATIENT.hungMs });
    await supervised.start();
    const first = supervised.pid;
    await runsAgain();
    assert.match(said[0] ?? '', /it showed no life for 2 s/);
    assert.notEqual(supervised.pid, first);
    await supervised.stop();
  });

  it('that is stopped by SIGSTOP is ended and started again', async () => {
    const { supervised, said, runsAgain } = supervise('stops', { hungMs: IMPATIENT.hungMs });
    await supervised.start();
    process.kill(supervised.pid as number, 'SIGSTOP');
    await runsAgain();
    assert.match(said[0] ?? '', /it showed no life for 2 s/);
    await supervised.stop();
  });

  it('that does not become ready is ended and started again, while the farm waits for it', async () => {
    const { supervised, said } = supervise('never ready', { startMs: IMPATIENT.startMs });
    await supervised.start();
    assert.match(said[0] ?? '', /nothing happened in its start for 3 s\); starting it again$/);
    assert.equal(supervised.state.state, 'running');
    await supervised.stop();
  });

  it('that cannot start says why, and the others end with it', async () => {
    const said: string[] = [];
    const supervisor = new Supervisor({
      environment: {},
      inheritOverrides: true,
      onLine: (name, line) => said.push(`${name}: ${line}`),
      drainMs: 5000,
    });
    const spec = (name: string, how: string) => ({
      ...{ name, script: ENTRY, environment: {} },
      args: [how, path.join(folder, `of ${name}`)],
    });
    const starting = supervisor.start([spec('api', 'fails'), spec('media', 'stops')]);
    await assert.rejects(starting, { code: 'config_invalid', message: 'api did not start: nothing.crt is not there' });
    await supervisor.stop();
    assert.equal(supervisor.pids.size, 0);
    assert.ok(
      said.some((line) => line.includes('api: config_invalid: nothing.crt is not there')),
      said.join('\n'),
    );
  });

  it('that ends again and again is started after growing waits, until it has run for a minute', () => {
    const waits = new RestartWaits();
    const inSeconds = Array.from({ length: 9 }, () => waits.next(500) / 1000);
    assert.deepEqual(inSeconds, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
    assert.equal(waits.inARow, 9);
    assert.equal(waits.next(60_000), 0);
    assert.equal(waits.next(500), 1000);
  });
});
