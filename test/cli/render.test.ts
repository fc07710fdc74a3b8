import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { NodeFarmClient } from '../../client/node/farm-client.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { inspectVideo } from '../support/ffprobe.ts';
import { type CliRun, FARM, runCommand } from '../support/run-cli.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

const KEY = 'secret-of-ours';

/** A network between command and farm that can lose an answer, or be cut off. */
class Link {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #answersToLose = 0;
  #isCut = false;
  readonly url: string;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async to(farmUrl: string): Promise<Link> {
    const port = await freePort();
    const link = new Link(
      createServer((near) => link.#join(near, Number(new URL(farmUrl).port))),
      port,
    );
    await new Promise<void>((resolve) => link.#server.listen(port, '127.0.0.1', resolve));
    return link;
  }

  /** The farm hears the next submission, and its answer is lost. */
  loseNextAnswer(): void {
    this.#answersToLose += 1;
  }

  /** From now on nothing gets through, and nobody is told. */
  cut(): void {
    this.#isCut = true;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(near: Socket, port: number): void {
    const far = connect(port, '127.0.0.1');
    let loses = false;
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on('error', () => {}).on('close', () => (socket === near ? far : near).destroy());
    }
    near.on('data', (chunk) => {
      if (this.#isCut) return;
      if (this.#answersToLose > 0 && chunk.toString('latin1', 0, 16) === 'POST /v1/renders') {
        this.#answersToLose -= 1;
        loses = true;
      }
      far.write(chunk);
    });
    far.on('data', (chunk) => {
      if (loses) near.destroy();
      else if (!this.#isCut) near.write(chunk);
    });
  }
}

describe('farm render', () => {
  let farm: TestFarm;
  let client: NodeFarmClient;
  let link: Link;

  before(async () => {
    farm = await startFarm({
      models: { small: SMALL_MODEL },
      auth: { api_keys: [KEY] },
      render: { segment_frames: 25 },
    });
    client = new NodeFarmClient(farm.url, KEY);
    link = await Link.to(farm.url);
    await writeWav(path.join(farm.folder, 'speech.wav'), syllables(2));
    await writeFile(path.join(farm.folder, 'notes.wav'), 'no sound at all');
  });
  after(async () => {
    link?.close();
    await farm?.[Symbol.asyncDispose]();
  });

  /** In the folder of the farm's config.yaml, as its user stands there. */
  const run = (...args: string[]): CliRun => runCommand(process.execPath, [FARM, ...args], { cwd: farm.folder });
  const rendering = (file: string, ...args: string[]) => run('render', file, ...args);
  const throughLink = () => ['--url', link.url, '--api-key', KEY];
  const idIn = ({ output }: CliRun) => /^Render (r\S+) is /m.exec(output())?.[1] ?? '';
  const countRenders = async () => (await client.list(100)).renders.length;
  const files = async () => (await readdir(farm.folder)).sort();
  /** Does something while no frame is made, so that no render ends before it is meant to. */
  const whileNothingIsMade = async (work: () => Promise<void>) => {
    try {
      await client.drainGpu(0);
      await until('it takes no more work', async () => (await client.gpus()).gpus[0]?.state === 'drained');
      await work();
    } finally {
      await client.resumeGpu(0);
    }
  };

  it('takes address and key from the config.yaml beside it, and makes the video under its own name at the end', async () => {
    const command = rendering('speech.wav', '--fps', '20', '--silence-gate', 'on');
    assert.equal(await command.exited, 0, command.output());
    const lines = command.output().split('\n');
    assert.match(lines[1] ?? '', /^Render r\S+ is (queued|preparing)/);
    assert.equal(lines.at(-1), path.join(farm.folder, 'speech.mp4'));
    const { videoTimes } = await inspectVideo(path.join(farm.folder, 'speech.mp4'));
    assert.deepEqual(
      videoTimes.map((time) => Math.round(time * 1000)),
      Array.from({ length: 40 }, (_, frame) => 50 * frame),
    );
    const { fps, segments, silence_gate } = await client.receipt(idIn(command));
    assert.deepEqual([fps, segments.length, silence_gate?.open_dbfs], [20, 2, -45]);
    assert.deepEqual(await files(), ['config.yaml', 'data', 'notes.wav', 'speech.mp4', 'speech.wav']);
  });

  it('refuses a wrong key before it sends anything, and does not replace a video unless it is told to', async () => {
    const known = await countRenders();
    const wrong = rendering('speech.wav', '--out', 'x.mp4', '--api-key', 'somebody-elses');
    assert.equal(await wrong.exited, 1);
    assert.match(wrong.output(), /--api-key.*\[unauthorised\]/);
    const stranger = rendering('speech.wav', '--out', 'x.mp4', '--url', farm.url);
    assert.equal(await stranger.exited, 1);
    assert.match(stranger.output(), /\[unauthorised\]/, 'the key of the configuration went to another address');
    const again = rendering('speech.wav');
    assert.equal(await again.exited, 1);
    assert.match(again.output(), /speech\.mp4 exists[\s\S]*\[output_exists\]/);
    assert.equal(await countRenders(), known);

    const video = path.join(farm.folder, 'speech.mp4');
    await writeFile(video, 'an old one');
    const forced = rendering('speech.wav', '--force');
    assert.equal(await forced.exited, 0, forced.output());
    assert.equal((await inspectVideo(video)).videoTimes.length, 50);
  });

  it('submits once when an answer is lost, and outlives a front end', () =>
    whileNothingIsMade(async () => {
      const known = await countRenders();
      link.loseNextAnswer();
      const command = rendering('speech.wav', '--out', 'never.mp4', ...throughLink());
      await command.until(/^Render r/m);
      assert.match(
        command.output(),
        /No farm answers at .*Trying again for 120 s[\s\S]*The farm answers again[\s\S]*^Render/m,
      );
      assert.equal(await countRenders(), known + 1);

      await command.until(/^rendering .* 0\/50 frames/m);
      const api = farm.farm.pids.get('api') ?? 0;
      process.kill(api, 'SIGKILL');
      await command.until(/(The farm answers again[\s\S]*){2}/);
      assert.notEqual(farm.farm.pids.get('api'), api);

      command.child.kill('SIGINT');
      assert.equal(await command.exited, 130, command.output());
      assert.match(command.output(), /Cancelling render [\s\S]*^Render r\S+ is cancelled/m);
      assert.equal((await client.get(idIn(command))).status, 'cancelled');
      assert.ok(!(await files()).includes('never.mp4'));
    }));

  it('leaves at a second Ctrl-C, says how to go on, and goes on with --resume', async () => {
    const command = rendering('speech.wav', '--out', 'later.mp4', ...throughLink());
    await command.until(/^Render r/m);
    link.cut();
    command.child.kill('SIGINT');
    await command.until(/Cancelling render/);
    command.child.kill('SIGINT');
    assert.equal(await command.exited, 130, command.output());
    const id = idIn(command);
    assert.ok(command.output().includes(`farm render --resume ${id} --out later.mp4`), command.output());
    assert.ok(command.output().includes(`farm cancel ${id}`), command.output());

    const resumed = run('render', '--resume', id, '--out', 'later.mp4');
    assert.equal(await resumed.exited, 0, resumed.output());
    assert.equal((await inspectVideo(path.join(farm.folder, 'later.mp4'))).videoTimes.length, 50);
    const late = run('cancel', id);
    assert.equal(await late.exited, 0);
    assert.match(late.output(), /had ended before: it is completed/);
    assert.equal((await client.get(id)).status, 'completed');
  });

  it('gives up after the patience it was given, and says how to go on', (t) =>
    whileNothingIsMade(async () => {
      const other = await Link.to(farm.url);
      t.after(() => other.close());
      const words = ['--out', 'x.mp4', '--url', other.url, '--api-key', KEY, '--patience', '1'];
      const command = rendering('speech.wav', ...words);
      await command.until(/^Render r/m);
      other.close();
      assert.equal(await command.exited, 1);
      const id = idIn(command);
      assert.match(command.output(), /Trying again for 1 s[\s\S]*farm render --resume r[\s\S]*\[farm_unreachable\]/);
      const cancel = run('cancel', id);
      assert.equal(await cancel.exited, 0, cancel.output());
      assert.equal((await client.get(id)).status, 'cancelled');
    }));

  it('renders several files, some at once, and goes on when one cannot be read', async () => {
    const files = ['speech.wav', 'notes.wav', 'gone.wav'];
    const words = ['--label', 'take=3', '--priority', 'high', '--from', '25', '--out-dir', 'made'];
    const command = run('render', ...files, ...words);
    const same = run('render', 'speech.wav', 'a/speech.wav');
    const outs = run('render', 'a.wav', 'b.wav', '--out', 'x.mp4');
    assert.equal(await command.exited, 1, command.output());
    const lines = command.output().split('\n');
    const made = path.join(farm.folder, 'made/speech.mp4');
    assert.ok(
      lines.some((line) => line.startsWith(`✓ speech.wav → ${made}`)),
      command.output(),
    );
    assert.match(command.output(), /^✗ notes\.wav \(render r\S+\): .*\[audio_unreadable\]\n {2}what to do: /m);
    assert.match(command.output(), /^✗ gone\.wav: .*\[input_unreadable\]/m);
    assert.match(command.output(), /1 of 3 rendered, 2 failed/);
    assert.equal((await inspectVideo(made)).videoTimes.length, 25);
    assert.equal(await same.exited, 1);
    assert.match(same.output(), /speech\.wav and a\/speech\.wav would both become/);
    assert.equal(await outs.exited, 2, outs.output());
  });

  it('lists, shows, watches and removes renders, for people and as JSON', async () => {
    const [made] = (await client.list(1, { labels: { take: '3' }, status: 'completed' })).renders;
    assert.ok(made);
    const [list, failed, show, watched, listJson, showJson] = [
      run('ls', '--label', 'take=3', '--search', 'TAKE', '--since', '1h', '--status', 'completed'),
      run('ls', '--status', 'failed'),
      run('show', made.id),
      run('watch', made.id),
      run('ls', '--label', 'take=3', '--limit', '1', '--json'),
      run('show', made.id, '--json'),
    ] as const;
    for (const command of [list, failed, show, watched, listJson, showJson]) {
      assert.equal(await command.exited, 0, command.output());
    }
    assert.match(list.output(), /^ID +STATUS +MODEL.*\nr\S+ +completed +small +25 +\d{4}-.* speech\.wav +take=3$/);
    assert.match(failed.output(), /notes\.wav +take=3 \(audio_unreadable\)$/m);
    assert.match(show.output(), /^frames +25 of 25, from 25 to 50\n[\s\S]*^priority +high\n[\s\S]*^video +http/m);
    assert.match(watched.output(), /^completed .* 25\/25 frames/);
    const { renders, more } = JSON.parse(listJson.output());
    assert.deepEqual([renders.length, more], [1, true]);
    const { render, receipt } = JSON.parse(showJson.output());
    assert.deepEqual([render.id, receipt.frames], [made.id, 25]);

    const removed = run('rm', made.id, '--json');
    assert.equal(await removed.exited, 0, removed.output());
    assert.deepEqual(JSON.parse(removed.output()), { removed: [made.id] });
    const gone = run('show', made.id, '--json');
    assert.equal(await gone.exited, 1);
    assert.equal(JSON.parse(gone.output().split('\n')[0] ?? '').error.code, 'render_unknown');
  });

  it('tells programs what happens in lines of JSON, alone on standard output', async () => {
    const command = run('render', 'speech.wav', '--out', 'json.mp4', '--json');
    let printed = '';
    command.child.stdout?.on('data', (chunk: Buffer) => {
      printed += chunk.toString();
    });
    assert.equal(await command.exited, 0, command.output());
    const events = printed
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.equal(events[0].event, 'progress');
    assert.equal(events.at(-1).event, 'completed');
    assert.equal(events.at(-1).render.frames.done, 50);
    assert.equal(events.at(-1).out, path.join(farm.folder, 'json.mp4'));
  });

  it('streams a sound with its key, and writes the frames as they come', async () => {
    const command = run('live', 'speech.wav', '--out', 'live-frames', '--json');
    const refused = run('live', 'notes.wav', '--api-key', 'somebody-elses');
    const noise = run('live', 'notes.wav', '--mjpeg');
    assert.equal(await command.exited, 0, command.output());
    const { frames, first_frame_ms } = JSON.parse(command.output());
    assert.equal(frames, 50);
    assert.ok(first_frame_ms > 0);
    const names = (await readdir(path.join(farm.folder, 'live-frames'))).sort();
    assert.deepEqual([names.length, names[0], names.at(-1)], [50, '000000.jpg', '000049.jpg']);
    const jpeg = await readFile(path.join(farm.folder, 'live-frames/000049.jpg'));
    assert.deepEqual([...jpeg.subarray(0, 2), ...jpeg.subarray(-2)], [0xff, 0xd8, 0xff, 0xd9]);
    assert.equal(await refused.exited, 1);
    assert.match(refused.output(), /\[unauthorised\]/);
    assert.equal(await noise.exited, 1, noise.output());
    assert.match(noise.output(), /\[audio_unreadable\]/);
  });

  it('measures the farm and leaves nothing of that behind, also when it is interrupted', async () => {
    const known = await countRenders();
    const command = run('bench', '--seconds', '1', '--renders', '1', '--json');
    assert.equal(await command.exited, 0, command.output());
    const { one_by_one, at_once, audio_seconds } = JSON.parse(command.output());
    assert.deepEqual([audio_seconds, one_by_one.renders, one_by_one.frames, at_once.frames], [1, 1, 25, 25]);
    assert.ok(one_by_one.frames_per_second > 0 && at_once.wall_ms > 0);
    assert.equal(await countRenders(), known);

    await whileNothingIsMade(async () => {
      const interrupted = run('bench', '--seconds', '1');
      await until('its first render is there', async () => (await countRenders()) > known);
      interrupted.child.kill('SIGINT');
      assert.equal(await interrupted.exited, 130, interrupted.output());
    });
    assert.equal(await countRenders(), known);
  });
});
