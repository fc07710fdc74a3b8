import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { DEMO_MODEL } from '../support/farm.ts';
import { FARM, livingFamily, runCommand } from '../support/run-cli.ts';
import { syllables, writeWav } from '../support/sound.ts';

interface Fault {
  readonly name: string;
  readonly args: () => readonly string[];
  readonly code: string;
  readonly says: RegExp;
  readonly environment?: NodeJS.ProcessEnv;
}

describe('what goes wrong on the command line is said as what it is', { concurrency: 2 }, () => {
  let folder = '';
  const servers: Server[] = [];
  /** A web server that is no farm, one that speaks no HTTP, and a port where nobody is. */
  const ports = { web: 0, deaf: 0, closed: 0 };
  const at = (name: string) => path.join(folder, name);
  const url = (port: number) => `http://127.0.0.1:${port}`;
  const portOf = async (server: Server) => {
    servers.push(server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'farm-faults-'));
    ports.web = await portOf(createHttpServer((_, response) => response.end('<h1>Hello</h1>')));
    ports.deaf = await portOf(createServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n')));
    ports.closed = await freePort();
    await writeWav(at('speech.wav'), syllables(1));
    await writeFile(at('empty.wav'), '');
    await writeFile(at('old.mp4'), 'precious');
    await mkdir(at('sounds'));
    await writeFile(at('tabs.yaml'), 'http:\n\tport: 1\n');
    await writeFile(
      at('beside.yaml'),
      stringify({ http: { port: ports.closed }, auth: { api_keys: ['secret-of-ours'] } }),
    );
    await writeFile(
      at('open.yaml'),
      stringify({ models: {}, http: { host: '0.0.0.0' }, server: { port: '[::]:50053' } }),
    );
    await writeFile(at('flat'), 'a file where a folder is to be');
    await writeFile(at('flat.yaml'), stringify({ models: {}, storage: { root: 'flat/data' } }));
    const taken = { models: { demo: DEMO_MODEL }, server: { port: `127.0.0.1:${await freePort()}` } };
    await writeFile(at('http.yaml'), stringify({ ...taken, http: { port: ports.web } }));
    const grpc = { http: { port: await freePort() }, server: { port: `127.0.0.1:${ports.deaf}` } };
    await writeFile(at('grpc.yaml'), stringify({ ...taken, ...grpc, storage: { root: 'grpc-data' } }));
  });
  after(async () => {
    for (const server of servers) server.close();
    await rm(folder, { recursive: true, force: true });
  });

  const rendering = (...args: string[]) => ['render', 'speech.wav', ...args];
  const FAULTS: readonly Fault[] = [
    {
      name: 'no farm runs',
      args: () => rendering('--url', url(ports.closed)),
      code: 'farm_unreachable',
      says: /No farm answers at .*: nothing listens there \(ECONNREFUSED\)/,
    },
    {
      name: 'no farm runs at the address of the configuration',
      args: () => ['models', '--config', 'beside.yaml'],
      code: 'farm_unreachable',
      says: /127\.0\.0\.1:\d+: nothing listens/,
    },
    {
      name: 'no farm runs at FARM_URL',
      args: () => ['gpu', 'list'],
      environment: { FARM_URL: 'http://127.0.0.1:2' },
      code: 'farm_unreachable',
      says: /127\.0\.0\.1:2: /,
    },
    {
      name: 'a farm that would be open to everybody',
      args: () => ['up', '--config', 'open.yaml'],
      code: 'access_open',
      says: /farm: http\.host \(0\.0\.0\.0\) and server\.port \(\[::\]\) .*\n.*Make a key with .* auth\.open_to_network: true/m,
    },
    {
      name: 'a port that browsers refuse',
      args: () => ['models', '--url', 'http://127.0.0.1:6000'],
      code: 'url_invalid',
      says: /no connection to the port of http:\/\/127\.0\.0\.1:6000/,
    },
    {
      name: 'an address that is none',
      args: () => rendering('--url', 'localhost:8080'),
      code: 'url_invalid',
      says: /"localhost:8080" is not an HTTP address/,
    },
    {
      name: 'a host that is not known',
      args: () => rendering('--url', 'http://farm.invalid'),
      code: 'farm_unreachable',
      says: /the host|host of that name/,
    },
    {
      name: 'another web server',
      args: () => rendering('--url', url(ports.web)),
      code: 'answer_unexpected',
      says: /answered 200 with no content type, which no farm/,
    },
    {
      name: 'something that speaks no HTTP',
      args: () => rendering('--url', url(ports.deaf)),
      code: 'answer_unexpected',
      says: /does not speak HTTP/,
    },
    {
      name: 'an audio file that is not there',
      args: () => ['render', 'nothing.wav'],
      code: 'input_unreadable',
      says: /nothing\.wav cannot be read: there is no such file/,
    },
    {
      name: 'a folder as audio file',
      args: () => ['render', 'sounds'],
      code: 'input_unreadable',
      says: /sounds is a folder; expected an audio file/,
    },
    {
      name: 'an empty audio file',
      args: () => ['render', 'empty.wav'],
      code: 'audio_empty',
      says: /empty\.wav is empty \(0 bytes\)/,
    },
    {
      name: 'a folder for the video that is not there',
      args: () => rendering('--out', 'no/video.mp4'),
      code: 'output_unwritable',
      says: /there is no folder .*no$/m,
    },
    {
      name: 'a folder as video',
      args: () => rendering('--out', 'sounds'),
      code: 'output_unwritable',
      says: /sounds is a folder; expected a file name/,
    },
    {
      name: 'a video that is there',
      args: () => rendering('--out', 'old.mp4'),
      code: 'output_exists',
      says: /old\.mp4 exists/,
    },
    {
      name: 'the audio file as video',
      args: () => rendering('--out', 'speech.wav', '--force'),
      code: 'output_unwritable',
      says: /is the audio file itself/,
    },
    {
      name: 'no audio file for the demo',
      args: () => ['demo', '--audio', 'nothing.wav', '--out', 'd/d.mp4'],
      code: 'input_unreadable',
      says: /nothing\.wav cannot be read/,
    },
    {
      name: 'no place for the demo',
      args: () => ['demo', '--out', 'flat/d.mp4'],
      code: 'output_unwritable',
      says: /cannot be written|is not a folder/,
    },
    {
      name: 'no audio file to inspect',
      args: () => ['inspect', 'mel', 'nothing.wav', 'mel.f32'],
      code: 'input_unreadable',
      says: /nothing\.wav cannot be read/,
    },
    {
      name: 'no folder for a mel',
      args: () => ['inspect', 'mel', 'speech.wav', 'no/mel.f32'],
      code: 'output_unwritable',
      says: /there is no folder/,
    },
    {
      name: 'a configuration that is not there',
      args: () => ['up', '--config', 'no.yaml'],
      code: 'config_invalid',
      says: /no\.yaml does not exist/,
    },
    {
      name: 'a folder as configuration',
      args: () => ['up', '--config', 'sounds'],
      code: 'config_invalid',
      says: /sounds cannot be read: it is a folder/,
    },
    {
      name: 'a configuration that is no YAML',
      args: () => ['models', '--config', 'tabs.yaml'],
      code: 'config_invalid',
      says: /tabs\.yaml is not valid YAML/,
    },
    {
      name: 'a data folder that cannot be made',
      args: () => ['up', '--config', 'flat.yaml'],
      code: 'storage_failed',
      says: /The data folder .*flat\/data cannot be used/,
    },
    {
      name: 'the HTTP port in use',
      args: () => ['up', '--config', 'http.yaml'],
      code: 'port_taken',
      says: /http\.port: another program listens on 127\.0\.0\.1:\d+/,
    },
    {
      name: 'the gRPC port in use',
      args: () => ['up', '--config', 'grpc.yaml'],
      code: 'port_taken',
      says: /server\.port: another program listens on 127\.0\.0\.1:\d+/,
    },
  ];
  for (const { name, args, code, says, environment = {} } of FAULTS) {
    it(name, async () => {
      const before = (await readdir(folder)).sort();
      const run = runCommand(process.execPath, [FARM, ...args()], { environment, cwd: folder });
      assert.equal(await run.exited, 1, run.output());
      assert.match(run.output(), says);
      const [, what, remedy, own] = /farm: ([\s\S]+)\n {2}what to do: (.+) {2}\[(\w+)\]\n?$/.exec(run.output()) ?? [];
      assert.ok(what && remedy, run.output());
      assert.equal(own, code, run.output());
      assert.deepEqual(await livingFamily(run.family), []);
      const left = (await readdir(folder)).sort().filter((entry) => !['data', 'grpc-data'].includes(entry));
      assert.deepEqual(
        left,
        before.filter((entry) => !['data', 'grpc-data'].includes(entry)),
      );
    });
  }

  it('wrong words on the command line end with 2 and say what was expected', async () => {
    const WRONG: [string[], RegExp][] = [
      [['rendr'], /unknown command 'rendr'\n\(Did you mean render\?\)/],
      [['render'], /either an audio file or --resume ID/],
      [['render', 'a.wav', '--resume', 'r0-0'], /either an audio file or --resume ID/],
      [['gpu', 'drain', 'first'], /Expected a whole number/],
      [['render', 'a.wav', '--loud'], /unknown option '--loud'/],
    ];
    for (const [args, says] of WRONG) {
      const run = runCommand(process.execPath, [FARM, ...args]);
      assert.equal(await run.exited, 2, run.output());
      assert.match(run.output(), says);
    }
  });
});
