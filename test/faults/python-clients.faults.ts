import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { makeStubs, noPythonGrpc, runPython } from '../grpc/python.ts';
import { differences, renderedFrames } from '../grpc/speech.ts';
import { DEMO_MODEL, startFarm, type TestFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';

const SECONDS = 1.5;

describe('Python clients, with stubs made from the .proto files', { skip: noPythonGrpc }, () => {
  let farm: TestFarm;
  let stubs = '';
  let speech = '';
  let pairPorts: readonly number[] = [];
  const inFolder = (name: string) => path.join(farm.folder, name);
  const python = (script: string, ...args: string[]) => runPython(stubs, script, ...args);
  const example = (name: string, ...args: string[]) =>
    python(`examples/python/${name}`, '--address', farm.grpcAddress, ...args);
  const framesIn = async (folder: string) => {
    const names = (await readdir(folder)).sort();
    return await Promise.all(names.map((name) => readFile(path.join(folder, name))));
  };

  before(async () => {
    stubs = await mkdtemp(path.join(tmpdir(), 'farm-test-stubs-'));
    await makeStubs(stubs, 'monolithic', 'compositing', 'inference', 'farm');
    // The clients ask for the demo avatar, and most of them look at no picture: a cheaper one stands under its name.
    pairPorts = [await freePort(), await freePort()];
    const [compositing_port, inference_port] = pairPorts;
    farm = await startFarm({
      models: { demo: SMALL_MODEL, large: DEMO_MODEL },
      server: { compositing_port, inference_port },
    });
    speech = inFolder('speech.wav');
    await writeWav(speech, syllables(SECONDS));
  });
  after(async () => {
    await farm[Symbol.asyncDispose]();
    await rm(stubs, { recursive: true, force: true });
  });

  for (const [check, does] of Object.entries({
    batch_sizes: 'asks for 1 to 32 frames',
    visual_frames: 'brings its own pictures, 79 MB for 32 frames',
    features: 'brings features instead of sound',
    sample_rates: 'sends sound at 8000 to 48000 samples a second',
    positions: 'begins anywhere in the pictures',
    models: 'lists, loads, counts and unloads models, and asks for the health',
    refusals: 'is told what is wrong',
  })) {
    it(`a client of the one-process server ${does}`, async () => {
      await python('test/grpc/surface.py', farm.grpcAddress, check);
    });
  }

  for (const [check, does] of Object.entries({
    composites: 'gets the frames that the one-process server gives',
    mouths: "gets the network's own floats, for pictures of its own and for the avatar's",
    models: 'lists, reloads, counts and unloads models, and asks for the health',
    refusals: 'is told what is wrong',
  })) {
    it(`a client of the separated pair ${does}`, async () => {
      const addresses = pairPorts.map((port) => `127.0.0.1:${port}`);
      await python('test/grpc/pair_surface.py', ...addresses, farm.grpcAddress, check);
    });
  }

  it('infer.py writes the frames of a whole render', async () => {
    const out = inFolder('inferred');
    const { stdout } = await example('infer.py', speech, '--frames', '32', '--out', out);
    assert.match(stdout, /^32 frames in .* from GPU 0: \d+ ms, of which inference \d+, audio \d+, composite \d+/);
    assert.deepEqual(
      differences(await framesIn(out), (await renderedFrames(farm, SECONDS, { modelId: 'demo' })).slice(0, 32)),
      [],
    );
  });

  it('infer.py says what is wrong', async () => {
    await assert.rejects(example('infer.py', speech, '--model', 'nobody'), /model_unknown: .*"nobody"/);
  });

  it('stream.py writes the frames of a whole render, as they come', async () => {
    const out = inFolder('streamed');
    const { stdout } = await example('stream.py', speech, '--fast', '--out', out);
    assert.match(stdout, /^open; .*\nframe 0 at 0 ms/);
    assert.match(stdout, /ended after 38 frames/);
    assert.deepEqual(differences(await framesIn(out), await renderedFrames(farm, SECONDS, { modelId: 'demo' })), []);
  });

  it('stream.py keeps pace with the sound when it plays it', async () => {
    const { stdout } = await example('stream.py', speech, '--out', inFolder('played'));
    assert.match(stdout, /ended after 38 frames/);
  });
});
