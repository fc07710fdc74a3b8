import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { afterEach, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import type { ErrorCode } from '../../shared/errors/catalogue.ts';
import type { Logger } from '../../shared/process/log.ts';
import type { RenderPlan } from '../../shared/renders/record.ts';
import { outputOf } from '../../shared/tools/tool-output.ts';
import { decodeAudio } from '../../worker/media/decode-audio.ts';
import { makeVideo } from '../../worker/media/make-video.ts';
import { probe, runFfmpeg } from '../../worker/tools/ffmpeg.ts';
import { ffmpeg, lavfi, privateFolder } from './media-files.ts';

const file = privateFolder();
const LIMITS = { signal: new AbortController().signal, timeoutMs: 60_000 };

/** Programs in the place of ffmpeg and ffprobe: the real ones until a test wants others. fluent-ffmpeg looks once. */
const TOOLS = ['ffmpeg', 'ffprobe'] as const;
const BIN = file('bin');
const realPaths = new Map<string, string>();
for (const tool of TOOLS) realPaths.set(tool, (await promisify(execFile)('which', [tool])).stdout.trim());
await mkdir(BIN);
const PATH = `${BIN}:${process.env.PATH}`;
const instead = async (tool: (typeof TOOLS)[number], script: string, mode = 0o755) => {
  await writeFile(`${BIN}/${tool}`, `#!/bin/sh\n${script}\n`);
  await chmod(`${BIN}/${tool}`, mode);
};
const restore = async () => {
  process.env.PATH = PATH;
  for (const tool of TOOLS) await instead(tool, `exec ${realPaths.get(tool)} "$@"`);
};
await restore();
afterEach(restore);

/** Of a format that the farm does not read by itself. */
const SOUND = 'sound.flac';
await ffmpeg(...lavfi('sine=d=1'), file(SOUND));
const decode = async () => await decodeAudio(file(SOUND), { mouth: file('mouth.f32') }, 60, LIMITS.signal);
/** Writes without reading a file, so that only its output can fail. */
const encodeTo = (outputPath: string) => {
  const input = { source: 'anullsrc=r=8000:d=9', options: ['-f', 'lavfi'] };
  return runFfmpeg({ inputs: [input], outputOptions: ['-f', 'f32le'], outputPath }, LIMITS);
};

const MACHINE: [what: string, script: string, code: ErrorCode][] = [
  ['it is killed', 'kill -9 $$', 'tool_failed'],
  ['a child of it was killed', 'exit 137', 'tool_failed'],
  ['it is told to end', 'exit 255', 'tool_failed'],
  ['it does not get as far as to say why', 'exit 1', 'tool_failed'],
  ['the disk is full', 'echo "x: No space left on device" >&2; exit 1', 'storage_full'],
  ['the file system is read-only', 'echo "x: Read-only file system" >&2; exit 1', 'storage_failed'],
  ['memory is short', 'echo "x: Cannot allocate memory" >&2; exit 244', 'resources_exhausted'],
];

describe('a machine that fails a tool is no fault of the sound', () => {
  for (const [what, script, code] of MACHINE) {
    it(`when ${what}: ${code}`, async () => {
      await instead('ffmpeg', script);
      await assert.rejects(decode(), { code });
      await assert.rejects(encodeTo(file('out.f32')), { code });
      await instead('ffprobe', script);
      await assert.rejects(decode(), { code });
      await assert.rejects(
        async () => {
          for await (const _ of outputOf('ffprobe', [], LIMITS));
        },
        { code },
      );
    });
  }

  it('when the disk is full, in the words of the real ffmpeg: storage_full', async () => {
    await assert.rejects(encodeTo('/dev/full'), {
      code: 'storage_full',
      message: /^ffmpeg: .*No space left on device/,
    });
  });

  it('when a tool cannot be started, or is not there', async () => {
    process.env.PATH = BIN;
    for (const tool of TOOLS) {
      const use = () => (tool === 'ffmpeg' ? encodeTo(file('out.f32')) : probe(file(SOUND), []));
      await instead(tool, 'exit 0', 0o644);
      await assert.rejects(use(), {
        code: 'tool_failed',
        message: new RegExp(`^${tool} could not be started: .*Permission denied`),
      });
    }
    process.env.PATH = file('nowhere');
    await assert.rejects(probe(file(SOUND), []), { code: 'dependency_missing', message: /^ffprobe was not found/ });
    await rm(`${BIN}/ffmpeg`);
    await assert.rejects(encodeTo(file('out.f32')), { code: 'dependency_missing', message: /^ffmpeg was not found/ });
  });

  it('when the upload is not there', async () => {
    await assert.rejects(decodeAudio(file('gone'), { mouth: file('mouth.f32') }, 60, LIMITS.signal), {
      code: 'storage_failed',
    });
  });
});

describe('segments of one form', () => {
  const artifacts = new LocalArtifacts(file('store'));
  const h264 = ['-c:v', 'libx264', '-pix_fmt', 'yuv420p', '-bf', '0'];
  const PLAN = { frameCount: 20, segmentGpus: [0, 0] } as unknown as RenderPlan;
  const FORM = { output: 'mp4', hasAlpha: false } as const;
  const said: unknown[] = [];
  const log = { info: (about: unknown) => said.push(about) } as unknown as Logger;
  const make = (renderId: string) => makeVideo(artifacts, renderId, { plan: PLAN, form: FORM }, { ...LIMITS, log });
  /** As a GPU worker and `prepare` leave them. @param other coding of the second segment, beyond the usual one. */
  async function leaveParts(renderId: string, other: readonly string[] = []): Promise<void> {
    for (const [index, coding] of [[], other].entries()) {
      await ffmpeg(...lavfi('testsrc=s=64x48:r=25:d=0.4'), ...h264, ...coding, file('part.mp4'));
      await artifacts.put(artifactKeys.segmentVideo(renderId, index, 'mp4'), await readFile(file('part.mp4')));
    }
    await ffmpeg(...lavfi('sine=d=0.8:r=48000'), '-c:a', 'aac', file('sound.mp4'));
    await artifacts.put(artifactKeys.soundtrack(renderId, 'mp4'), await readFile(file('sound.mp4')));
  }

  it('become a video without any program; those of several need ffmpeg, and the log says why', async () => {
    await leaveParts('alike');
    await leaveParts('unlike', ['-profile:v', 'baseline']);
    for (const tool of TOOLS) await instead(tool, 'kill -9 $$');
    assert.equal((await make('alike')).videoSeconds, 0.8);
    assert.deepEqual(said, []);
    await assert.rejects(make('unlike'), { code: 'tool_failed' });
    await restore();
    assert.equal((await make('unlike')).videoSeconds, 0.8);
    assert.deepEqual(said, Array(2).fill({ reason: 'segments of several forms' }));
  });
});

it('a tool that says what is wrong with its input blames the input', async () => {
  await instead('ffmpeg', 'echo "x: Invalid data found when processing input" >&2; exit 183');
  await assert.rejects(decode(), { code: 'audio_unreadable' });
  await assert.rejects(encodeTo(file('out.f32')), { code: 'encode_failed' });
});
