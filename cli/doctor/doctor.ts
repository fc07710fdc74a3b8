import { execFile } from 'node:child_process';
import { statfs } from 'node:fs/promises';
import { promisify } from 'node:util';
import { z } from 'zod';
import { type Config, DEMO_AVATAR_DIR, loadConfig } from '../../shared/config/load.ts';
import { keysWithoutEffect } from '../../shared/config/no-effect.ts';
import {
  grpcAddresses,
  isWithoutKeys,
  keptToThisMachine,
  refuseOpenAddress,
} from '../../shared/config/open-address.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { makeDataFolder } from '../../shared/files/data-folder.ts';
import { childEnvironment, toolEnvironment } from '../../shared/process/environment.ts';
import { ignored } from '../../shared/process/unheard.ts';
import { GB } from '../../shared/units.ts';
import { buildDemoAvatar } from '../demo-avatar.ts';
import { printJson } from '../json-output.ts';
import { ENTRIES } from '../supervisor/farm-processes.ts';
import { checkPorts } from './ports.ts';
import { checkStore } from './store.ts';
import { checkTags, type TagFinding } from './tags.ts';

const run = promisify(execFile);
/** A tool that hangs is as good as none. */
const TOOL_LIMITS = { timeout: 10_000, killSignal: 'SIGKILL', env: toolEnvironment() } as const;

interface Finding {
  readonly subject: string;
  readonly state: 'ok' | 'note' | 'fault';
  readonly text: string;
  /** How to mend it. */
  readonly remedy?: string;
}

const NODE_MAJOR = 24;
const LEAST_FREE_GB = 2;
/** Where the text of a finding goes on. */
const SECOND_LINE = '\n'.padEnd(20);
const NO_PICTURES = 'no pictures: mouths alone, for InferBatch with visual_frames';
const MARKS = { ok: '✓', note: '–', fault: '✗' } as const;

/** `farm doctor`: checks everything a farm needs and says how to mend what is missing. Exit code 1 if anything is. */
export async function doctor({ config: configPath, json }: { config?: string; json?: boolean }): Promise<void> {
  const config = loadConfig(configPath);
  const source = config.sourcePath ?? 'none; the built-in defaults are in force';
  const ofConfiguration: Finding[] = [
    { subject: 'configuration', state: 'ok', text: source },
    ...keysWithoutEffect(config).map(({ key, why }): Finding => {
      return { subject: 'configuration', state: 'note', text: `${key} has no effect: ${why}` };
    }),
  ];
  if (!json) for (const finding of ofConfiguration) report(finding);
  await buildDemoAvatar(config);
  const checks = [
    checkAccess(config),
    ...(await checkAddresses(config)),
    checkNode(),
    checkRedis(config),
    checkFfmpeg(),
    checkDisk(config),
    ...(await checkStore(config)),
    ...(await checkModels(config)),
    ...(await checkTags(config)).map(tagFinding),
  ];
  const findings = await Promise.all(checks);
  const faults = findings.filter(({ state }) => state === 'fault').length;
  if (json) printJson({ ok: faults === 0, findings: [...ofConfiguration, ...findings] });
  else for (const finding of findings) report(finding);
  if (!json) process.stdout.write(faults === 0 ? '\nThe farm can run.\n' : `\n${faults} thing(s) to mend.\n`);
  process.exitCode = faults === 0 ? 0 : 1;
}

function tagFinding({ modelId, text, remedy }: TagFinding): Finding {
  return { subject: `tags of ${modelId}`, state: remedy ? 'note' : 'ok', text, ...(remedy ? { remedy } : {}) };
}

function report({ subject, state, text, remedy }: Finding): void {
  process.stdout.write(
    `${MARKS[state]} ${subject.padEnd(16)} ${text}\n${remedy ? `  ${' '.repeat(16)} → ${remedy}\n` : ''}`,
  );
}

async function checkAccess(config: Config): Promise<Finding> {
  const subject = 'access';
  try {
    refuseOpenAddress(config);
  } catch (error) {
    const { message, remedy } = FarmError.from(error).toReport();
    return { subject, state: 'fault', text: message, remedy };
  }
  const kept = keptToThisMachine(config);
  if (kept) return { subject, state: 'note', text: kept };
  const who = isWithoutKeys(config) ? 'without a key' : 'with a key';
  const grpc = grpcAddresses(config).map(({ host, port }) => `${host}:${port}`);
  return { subject, state: 'ok', text: `HTTP on ${config.http.host}, gRPC on ${grpc.join(', ')}, ${who}` };
}

async function checkAddresses(config: Config): Promise<Finding[]> {
  const subject = 'addresses';
  const { text, faults } = await checkPorts(config);
  if (faults.length === 0) return [{ subject, state: 'ok', text }];
  return faults.map((fault) => ({ subject, state: 'fault', ...fault }));
}

async function checkNode(): Promise<Finding> {
  const major = Number(process.versions.node.split('.')[0]);
  if (major >= NODE_MAJOR) return { subject: 'Node', state: 'ok', text: process.version };
  const remedy = 'run `npm run setup`, which installs one beside the project';
  return { subject: 'Node', state: 'fault', text: `${process.version}; the farm needs ${NODE_MAJOR}`, remedy };
}

async function checkRedis({ redis }: Config): Promise<Finding> {
  const subject = 'Redis';
  if (!redis.url) {
    const version = await firstLine('redis-server', ['--version']);
    if (version) return { subject, state: 'ok', text: `${version.split(' sha=')[0]}; \`farm up\` starts its own` };
    return {
      subject,
      state: 'fault',
      text: 'redis-server is not on PATH',
      remedy: 'apt-get install redis-server, or set REDIS_URL',
    };
  }
  return await (await import('./redis.ts')).checkConfiguredRedis(redis);
}

async function checkFfmpeg(): Promise<Finding> {
  const subject = 'ffmpeg';
  const remedy = 'apt-get install ffmpeg (or brew install ffmpeg)';
  const version = await firstLine('ffmpeg', ['-version']);
  if (!version || !(await firstLine('ffprobe', ['-version']))) {
    return { subject, state: 'fault', text: 'ffmpeg and ffprobe are not both on PATH', remedy };
  }
  const { stdout: encoders } = await run('ffmpeg', ['-hide_banner', '-encoders'], TOOL_LIMITS);
  const absent = ['libx264', 'aac'].filter((name) => !new RegExp(`\\s${name}\\s`).test(encoders));
  if (absent.length === 0) return { subject, state: 'ok', text: version.split(' Copyright')[0] ?? version };
  return { subject, state: 'fault', text: `this ffmpeg has no encoder ${absent.join(', ')}`, remedy };
}

async function checkDisk({ storageRoot, limits }: Config): Promise<Finding> {
  const remedy = 'free some space or set storage.root to another folder';
  const space = await makeDataFolder(storageRoot)
    .then(() => statfs(storageRoot))
    .catch((error: Error) => error.message);
  if (typeof space === 'string') return { subject: 'disk', state: 'fault', text: space, remedy };
  const { bavail, bsize } = space;
  const freeGb = (bavail * bsize) / GB;
  const text = `${freeGb.toFixed(1)} GB free in ${storageRoot}`;
  if (freeGb < limits.disk_reserve_gb) {
    const reserve = `${text}; no render is taken below limits.disk_reserve_gb, ${limits.disk_reserve_gb} GB`;
    return { subject: 'disk', state: 'fault', text: reserve, remedy };
  }
  if (freeGb >= LEAST_FREE_GB) return { subject: 'disk', state: 'ok', text };
  return { subject: 'disk', state: 'fault', text, remedy };
}

const modelLine = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('provider'), name: z.string(), problem: z.string().nullable(), device: z.string() }),
  z.object({
    kind: z.literal('model'),
    name: z.string(),
    problems: z.array(z.string()),
    frameCount: z.int().optional(),
    width: z.int().optional(),
    height: z.int().optional(),
    size: z.int().optional(),
    hears: z.string().optional(),
    provider: z.string().optional(),
    passedOver: z.array(z.object({ provider: z.string(), reason: z.string() })).default([]),
    nodes: z.record(z.string(), z.int()).default({}),
    outside: z.string().optional(),
    msPerFrame: z.number().optional(),
    toExtract: z.array(z.string()).optional(),
  }),
]);

type ModelLine = Extract<z.output<typeof modelLine>, { kind: 'model' }>;

/** Asks the worker's own code to load every model. */
async function checkModels(config: Config): Promise<Finding[]> {
  const environment = childEnvironment(config.sourcePath ? { FARM_CONFIG: config.sourcePath } : {});
  const { stdout } = await run(process.execPath, [ENTRIES.inspectModels], { env: environment }).catch(
    (error: Error) => {
      throw new FarmError('internal', `The models could not be inspected: ${error.message}`, { cause: error });
    },
  );
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => modelLine.parse(JSON.parse(line)));
  const onlyHope = lines.filter((line) => line.kind === 'provider' && line.problem === null).length === 0;
  return lines.map((line): Finding => {
    if (line.kind === 'provider') {
      const subject = `provider ${line.name}`;
      if (line.problem === null) return { subject, state: 'ok', text: line.device };
      return { subject, state: onlyHope ? 'fault' : 'note', text: line.problem };
    }
    const subject = `model ${line.name}`;
    if (line.problems.length > 0) {
      const remedy = `correct models.${line.name} in ${config.sourcePath ?? DEMO_AVATAR_DIR}`;
      return { subject, state: 'fault', text: line.problems.join(SECOND_LINE), remedy };
    }
    if (line.toExtract) {
      const text = `pictures will be extracted from ${line.toExtract.join(', ')} when a worker loads the model`;
      return { subject, state: 'ok', text };
    }
    // What shows without opening a model stands with the provider.
    const unavailable = new Set(
      lines.flatMap((other) => (other.kind === 'provider' && other.problem ? other.name : [])),
    );
    const passedOver = line.passedOver.filter((other) => !unavailable.has(other.provider));
    return modelFinding(subject, { ...line, passedOver }, config);
  });
}

/** What is said of a model that loads. */
function modelFinding(
  subject: string,
  { frameCount, width, height, size, hears, provider, msPerFrame = 0, ...line }: ModelLine,
  { server }: Config,
): Finding {
  const nodes = Object.entries(line.nodes).map(([name, count]) => ` (${count} nodes on ${name})`);
  const speed = `${provider}${nodes.join('')}, ${Math.round(msPerFrame)} ms/frame`;
  const others = line.passedOver.map((other) => `not on ${other.provider}: ${other.reason}`);
  const outside = line.outside ? [`pictures become floats outside of its graph: ${line.outside}`] : [];
  const off = server.inference_port ? '' : ', but server.inference_port is off';
  const pictures = frameCount === 0 ? `${NO_PICTURES}${off}` : `${frameCount} frames of ${width}×${height}`;
  const text = [`${pictures}, network ${size}², ${speed}`, ...(hears ? [`hears ${hears}`] : []), ...others, ...outside];
  return { subject, state: frameCount === 0 ? 'note' : 'ok', text: text.join(SECOND_LINE) };
}

async function firstLine(command: string, args: string[]): Promise<string | undefined> {
  return await run(command, args, TOOL_LIMITS).then(
    ({ stdout }) => stdout.split('\n')[0],
    ignored('a program that is not there, or fails, has no first line'),
  );
}
