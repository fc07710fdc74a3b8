import assert from 'node:assert/strict';
import { mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { completionScript } from '../../cli/completion.ts';
import { buildProgram } from '../../cli/program.ts';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { FarmClient } from '../../client/index.ts';
import { DEMO_MODEL, PREPARED_DIR } from '../support/farm.ts';
import { inspectVideo } from '../support/ffprobe.ts';
import { type CliRun, FARM, livingFamily, runCli, runCommand } from '../support/run-cli.ts';
import { buildSmallAvatar, SMALL_MODEL, SMALL_PICTURE } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

/** What a command has printed, line by line. */
interface Event {
  readonly event: string;
  readonly render?: { readonly id: string; readonly status: string } | null;
  readonly out?: string;
}

describe('commands about a farm that runs', () => {
  let folder = '';
  let url = '';
  let up: CliRun;
  const at = (name: string) => path.join(folder, name);
  const speak = (...args: string[]) => runCli(...args, '--url', url);
  const farm = async (...args: string[]) => {
    const run = speak(...args);
    return { exitCode: await run.exited, output: run.output() };
  };
  const json = async (...args: string[]) => {
    const { exitCode, output } = await farm(...args, '--json');
    assert.equal(exitCode, 0, output);
    return JSON.parse(output);
  };
  const eventsOf = ({ output }: { output: () => string }): Event[] =>
    output()
      .split('\n')
      .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));

  before(async () => {
    await buildSmallAvatar();
    folder = await mkdtemp(path.join(tmpdir(), 'farm-cli-running-'));
    await writeWav(at('speech.wav'), syllables(1));
    await writeWav(at('long.wav'), syllables(120));
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const ports = { http: { port }, server: { port: `127.0.0.1:${await freePort()}` } };
    const models = { demo: DEMO_MODEL, small: SMALL_MODEL, broken: { ...DEMO_MODEL, crop_rects_path: '' } };
    await writeFile(at('config.yaml'), stringify({ ...ports, models, storage: { prepared_dir: PREPARED_DIR } }));
    up = runCli('up', '--json', '--config', at('config.yaml'));
    await up.until(/"event":"up"/);
  });
  after(async () => {
    const down = runCli('down', '--json', '--config', at('config.yaml'));
    assert.equal(await down.exited, 0, down.output());
    assert.match(down.output(), /is draining/);
    assert.equal(JSON.parse(/^\{$[\s\S]*/m.exec(down.output())?.[0] ?? '').stopped, up.child.pid);
    assert.equal(await up.exited, 0);
    const events = eventsOf(up).map(({ event }) => event);
    assert.deepEqual([events[0], events.includes('draining'), events.at(-1)], ['starting', true, 'stopped']);
    await rm(folder, { recursive: true, force: true });
    assert.deepEqual(await livingFamily(up.family), []);
  });

  it('list models with what is wrong with them, load and unload them', async () => {
    const before = await farm('models');
    assert.match(before.output, /^demo {4}not loaded$/m);
    assert.match(before.output, /^broken {2}cannot be used: crop_rects_path: not set/m);
    assert.match((await farm('models', 'load', 'demo')).output, /^demo loaded in \d+ ms on GPU 0$/m);
    assert.match((await farm('models', 'load', 'demo', '--gpu', '0')).output, /^demo was loaded on GPU 0$/m);
    assert.match(
      (await farm('models')).output,
      /^demo {4}GPU 0: [\d.]+ MB, [\d.]+ ms\/frame(, prepared: \d+ of \d+ pictures)?$/m,
    );
    assert.deepEqual(await json('models', 'unload', 'demo'), { id: 'demo', gpus: [0] });
    const refused = await farm('models', 'unload', 'demo');
    assert.deepEqual([refused.exitCode, /request_invalid/.test(refused.output)], [1, true], refused.output);
  });

  it('say what a render would cost, by the length of its file alone', async () => {
    const words = ['estimate', at('speech.wav'), '--model', 'small', '--lead', '400', '--tail', '600'];
    const [{ frames, gpus }, known, wrong] = await Promise.all([
      json(...words),
      farm('estimate', '--seconds', '60', '--model', 'demo'),
      farm('estimate', '--json'),
    ]);
    assert.deepEqual([frames, gpus], [50, 1]);
    assert.match(known.output, /^1500 frames; 1 GPU can render demo, at [\d.]+ frames\/s each: [\d.]+ GPU seconds\n/);
    assert.equal(wrong.exitCode, 2);
    assert.equal(JSON.parse(/^\{.*\}$/m.exec(wrong.output)?.[0] ?? '').error.code, 'usage_wrong');
  });

  it('drain a GPU and put it back', async () => {
    const drained = await farm('gpu', 'drain', '0', '--json');
    // Whatever came of that, the tests after this one need the GPU.
    assert.equal((await json('gpu', 'resume', '0')).gpu, 0);
    // The order's answer does not wait for a worker that is slow to follow.
    await until('it is back', async () => (await new FarmClient(url).gpus()).gpus[0]?.state === 'ready');
    assert.match(JSON.parse(drained.output).state, /^drain/);
  });

  it('render to frames, once for an idempotency key, and hand on where the end is told', async () => {
    const words = ['render', at('speech.wav'), '--model', 'small', '--output', 'frames', '--to', '3'];
    const [first, second, hook] = [
      speak(...words, '--idempotency-key', 'k1', '--out', at('a'), '--json'),
      speak(...words, '--idempotency-key', 'k1', '--out', at('b'), '--json'),
      speak(...words, '--webhook', 'http://127.0.0.1:1/hook', '--webhook-events', 'running', '--out', at('c')),
    ];
    assert.equal(await first.exited, 0, first.output());
    assert.equal(await second.exited, 0, second.output());
    const last = eventsOf(first).at(-1);
    assert.deepEqual([last?.event, last?.out], ['completed', at('a')]);
    assert.equal(last?.render?.id, eventsOf(second).at(-1)?.render?.id);
    for (const name of ['a', 'b']) {
      assert.deepEqual((await readdir(at(name))).sort(), ['000000.jpg', '000001.jpg', '000002.jpg']);
    }
    assert.equal(await hook.exited, 1);
    assert.match(hook.output(), /\[(webhooks_off|address_refused)\]/);
  });

  it('render to WebM when the file is to be called so', async () => {
    const run = speak('render', at('speech.wav'), '--model', 'small', '--to', '3', '--out', at('d.webm'));
    assert.equal(await run.exited, 0, run.output());
    const { video, audio } = await inspectVideo(at('d.webm'));
    // The pictures have no alpha, so the video is opaque.
    assert.deepEqual([video.codec_name, audio.codec_name, video.alpha_mode], ['vp9', 'opus', undefined]);
  });

  it('are completed by bash with what the farm has, and without a word when it is away', async () => {
    const [made] = (await new FarmClient(url).list(1)).renders;
    assert.ok(made);
    const script = `farm() { ${process.execPath} ${FARM} "$@"; }
${completionScript(buildProgram(), 'bash')}
COMP_LINE="$*"; COMP_POINT=\${#COMP_LINE}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _farm; echo "\${COMPREPLY[*]}"`;
    const offered = async (...words: string[]) => {
      const run = runCommand('bash', ['-c', script, 'bash', 'farm', ...words]);
      assert.equal(await run.exited, 0, run.output());
      return run.output().split(' ');
    };
    // On a busy machine the farm may need longer than a shell waits, and is asked again.
    const offers = async (word: string, ...words: string[]) => {
      await until(`${word} is offered`, async () => (await offered(...words)).includes(word));
    };
    await offers(made.id, 'show', '--url', url, made.id.slice(0, 3));
    await offers('broken', 'render', 'x.wav', `--url=${url}`, '-m', '');
    await offers('0', 'gpu', 'drain', '-u', url, '');
    assert.deepEqual(await offered('show', '--url', 'http://127.0.0.1:1', 'r'), ['']);
  });

  it('count what Ctrl-C ends as cancelled', async () => {
    const sounds = ['long.wav', 'speech.wav'].map(at);
    const run = speak('render', ...sounds, '-m', 'small', '--parallel', '1', '--out-dir', at('made'), '--json');
    await run.until(/"event":"progress"/);
    run.child.kill('SIGINT');
    assert.equal(await run.exited, 130, run.output());
    const [first, second, summary] = eventsOf(run).filter(({ event }) => event !== 'progress');
    assert.deepEqual([first?.event, first?.render?.status], ['cancelled', 'cancelled']);
    assert.deepEqual([second?.event, second?.render], ['cancelled', null]);
    assert.deepEqual(summary, { event: 'summary', completed: 0, failed: 0, cancelled: 2 });
  });

  it('stream the sound of standard input to raw pictures on standard output', async () => {
    const sound = await open(at('speech.wav'));
    const args = [FARM, 'live', '-', '--raw', '--low', '--model', 'small', '--url', url, '--json'];
    const run = runCommand(process.execPath, args, { stdin: sound.fd });
    let bytes = 0;
    run.child.stdout?.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    let said = '';
    run.child.stderr?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    assert.equal(await run.exited, 0, said);
    await sound.close();
    const { frames } = JSON.parse(said);
    assert.deepEqual([frames, bytes], [25, 25 * SMALL_PICTURE.width * SMALL_PICTURE.height * 3]);
  });

  it('watch all renders, a line for each event where nobody sits at a terminal', async () => {
    const watching = speak('watch', '--model', 'small', '--types', 'completed,render.failed');
    await watching.until(/Renders of/);
    // What happens before the farm has answered it is not among its events.
    const rendered: CliRun[] = [];
    while (!/completed/.test(watching.output())) {
      const run = speak('render', at('speech.wav'), '-m', 'small', '--to', '2', '--force', '--out', at('seen.mp4'));
      assert.equal(await run.exited, 0, run.output());
      rendered.push(run);
    }
    watching.child.kill('SIGINT');
    await watching.exited;
    assert.equal(watching.child.signalCode, 'SIGINT');
    assert.match(watching.output(), /^\d{4}-\d\d-\d\d [\d:]{8} {2}r\S+ {2}completed {2}small {2}2\/2 frames$/m);
    assert.doesNotMatch(watching.output(), / (queued|progress) /);
    const printed = `${watching.output()}${rendered[0]?.output()}`;
    assert.ok(!printed.includes('\u001b') && !printed.includes('\r'), printed);
  });

  it('have every process read the configuration again at a SIGHUP, which does not end the farm', async () => {
    up.child.kill('SIGHUP');
    await up.until(/(configuration reloaded[\s\S]*){3}/);
    assert.match((await farm('models')).output, /^demo/m);
  });
});
