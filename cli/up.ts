import { type Config, loadConfig } from '../shared/config/load.ts';
import { grpcAddresses, isWithoutKeys, keptToThisMachine } from '../shared/config/open-address.ts';
import { exitCodeOf, onEndRequest, terminalIsGone } from '../shared/process/end-requests.ts';
import { bucketPlace } from '../shared/s3/bucket-settings.ts';
import { withoutSecrets } from '../shared/secrets.ts';
import { buildDemoAvatar } from './demo-avatar.ts';
import { httpUrl } from './farm-address.ts';
import { LocalFarm } from './local-farm.ts';
import { entryOf, formatLine } from './log-lines.ts';

export interface UpOptions {
  readonly config?: string;
  readonly json?: boolean;
}

/** `farm up`: runs a whole farm on this machine until it is told to stop. */
export async function up({ config: configPath, json }: UpOptions): Promise<void> {
  const config = loadConfig(configPath);
  const tell = json ? tellPrograms : tellPeople;
  const farm = new LocalFarm({
    config,
    onLine: (name, line) => tell('log', () => formatLine(name, line), { process: name, entry: entryOf(line) }),
    onLost: (reason) => {
      tell('lost', () => `This farm ends at once: ${reason}`, { reason });
      endAtOnce(1);
    },
  });
  const ending = new AbortController();
  let endsAtOnce = false;
  const endAtOnce = (exitCode: number) => {
    endsAtOnce = true;
    const exit = () => process.exit(exitCode);
    farm.kill().then(exit, exit);
  };
  onEndRequest({
    first: (reason) => ending.abort(reason),
    again: (signal) => {
      tell('ending', () => 'Ending at once; unfinished renders go on when the farm is started again.');
      endAtOnce(exitCodeOf(signal));
    },
  });
  // The signal to reload is also what a terminal sends when it is closed.
  process.on('SIGHUP', () => terminalIsGone() || farm.reload());
  ending.signal.addEventListener('abort', () =>
    tell('draining', () => 'Draining; a second Ctrl-C or SIGTERM ends the farm at once …'),
  );
  try {
    await buildDemoAvatar(config, ending.signal);
    tell('starting', () => `Starting the farm (process ${process.pid}) …`, { pid: process.pid });
    const stopped = stopWhenAsked(farm, ending.signal);
    await farm.start();
    tell('up', () => describe(farm, config, configPath), factsOf(farm, config));
    await stopped;
  } catch (error) {
    // What fails because it was asked to stop is no failure.
    if (!ending.signal.aborted) throw error;
    await farm.stop();
  }
  // Both ways of stopping are over at the same moment: the other one has said how.
  if (!endsAtOnce) tell('stopped', () => 'The farm has stopped.');
}

/** Says what happens; `facts` are for programs, `words` for people. */
type Tell = (event: string, words: () => string, facts?: object) => void;

const tellPeople: Tell = (_, words) => {
  process.stdout.write(`${withoutSecrets(words())}\n`);
};

const tellPrograms: Tell = (event, _, facts = {}) => {
  process.stdout.write(`${withoutSecrets(JSON.stringify({ event, ...facts }))}\n`);
};

function factsOf(farm: LocalFarm, config: Config): object {
  return {
    pid: process.pid,
    http: httpUrl(config),
    studio: `${httpUrl(config)}/`,
    dashboard: `${httpUrl(config)}/dashboard`,
    grpc: grpcAddresses(config).map(({ key, host, port }) => ({ key, address: `${host}:${port}` })),
    redis: farm.redisUrl,
    data: config.storageRoot,
    models: [...config.models.keys()],
    processes: Object.fromEntries(farm.pids),
  };
}

async function stopWhenAsked(farm: LocalFarm, signal: AbortSignal): Promise<void> {
  const asked = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => asked.resolve());
  if (signal.aborted) asked.resolve();
  await asked.promise;
  await farm.stop();
}

function describe(farm: LocalFarm, config: Config, configPath: string | undefined): string {
  const base = httpUrl(config);
  const kept = keptToThisMachine(config);
  const key = isWithoutKeys(config) ? '' : '-H "Authorization: Bearer $FARM_API_KEY" ';
  const down = configPath ? `farm down --config ${configPath}` : 'farm down';
  return [
    '',
    `The farm is up (process ${process.pid}).`,
    `  HTTP       ${base}`,
    ...grpcLines(config),
    ...(kept ? [`             ${kept}`] : []),
    `  Studio     ${base}/  (in a browser)`,
    `  Dashboard  ${base}/dashboard`,
    `  Redis      ${farm.redisUrl}${farm.hasPrivateRedis ? '  (its own)' : ''}`,
    `  Data       ${config.storageRoot}`,
    ...(config.storage.driver === 's3' ? [`  Files      ${bucketPlace(config.storage.s3)}`] : []),
    `  Models     ${[...config.models.keys()].join(', ') || 'none'}`,
    `  Processes  ${[...farm.pids].map(([name, pid]) => `${name} ${pid}`).join(', ')}`,
    '',
    `Submit a render:  curl ${key}-F audio=@speech.wav ${base}/v1/renders`,
    `Stop with Ctrl-C, or with \`npx ${down}\`: running work is finished or handed back.`,
    '',
  ].join('\n');
}

/** One line for each port. */
function grpcLines(config: Config): string[] {
  const services = {
    'server.port': '',
    'server.compositing_port': 'compositing',
    'server.inference_port': 'inference',
  };
  return grpcAddresses(config).map(({ key, host, port }) => {
    const service = services[key] && `  (${services[key]})`;
    return `  gRPC       ${host}:${port}${service}`;
  });
}
