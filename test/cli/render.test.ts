import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { freePort } from '../../cli/private-redis.ts';
import { NodeFarmClient } from '../../client/node/farm-client.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { inspectVideo } from '../support/ffprobe.ts';
import { type CliRun, FARM, runCommand } from '../support/run-cli.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';

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
    await writeWav(path.join(farm.folder, 'long.wav'), syllables(300));
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

  it('takes address and key from the config.yaml beside it, and makes the video under its own name at the end', async () => {
    const command = rendering('speech.wav');
    assert.equal(await command.exited, 0, command.output());
    const lines = command.output().split('\n');
    assert.match(lines[1] ?? '', /^Render r\S+ is (queued|preparing)/);
    assert.equal(lines.at(-1), path.join(farm.folder, 'speech.mp4'));
    assert.equal((await inspectVideo(path.join(farm.folder, 'speech.mp4'))).videoTimes.length, 50);
    assert.deepEqual(await files(), ['config.yaml', 'data', 'long.wav', 'speech.mp4', 'speech.wav']);
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

  it('submits once when an answer is lost, and outlives a front end', async () => {
    const known = await countRenders();
    link.loseNextAnswer();
    const command = rendering('long.wav', '--out', 'long.mp4', ...throughLink());
    await command.until(/^Render r/m);
    assert.match(
      command.output(),
      /No farm answers at .*Trying again for 120 s[\s\S]*The farm answers again[\s\S]*^Render/m,
    );
    assert.equal(await countRenders(), known + 1);

    await command.until(/^rendering .* [1-9]\d*\/7500 frames/m);
    const api = farm.farm.pids.get('api') ?? 0;
    process.kill(api, 'SIGKILL');
    await command.until(/(The farm answers again[\s\S]*){2}/);
    assert.notEqual(farm.farm.pids.get('api'), api);

    command.child.kill('SIGINT');
    assert.equal(await command.exited, 130, command.output());
    assert.match(command.output(), /Cancelling render [\s\S]*^Render r\S+ is cancelled/m);
    assert.equal((await client.get(idIn(command))).status, 'cancelled');
    assert.ok(!(await files()).includes('long.mp4'));
  });

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

  it('gives up after the patience it was given, and says how to go on', async () => {
    const other = await Link.to(farm.url);
    const command = rendering('long.wav', '--url', other.url, '--api-key', KEY, '--patience', '1');
    await command.until(/^Render r/m);
    other.close();
    assert.equal(await command.exited, 1);
    const id = idIn(command);
    assert.match(command.output(), /Trying again for 1 s[\s\S]*farm render --resume r[\s\S]*\[farm_unreachable\]/);
    const cancel = run('cancel', id);
    assert.equal(await cancel.exited, 0, cancel.output());
    assert.equal((await client.get(id)).status, 'cancelled');
  });
});
