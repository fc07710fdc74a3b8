import { type Config, loadConfig } from '../shared/config/load.ts';
import { grpcAddresses, isWithoutKeys, keptToThisMachine } from '../shared/config/open-address.ts';
import { exitCodeOf, onEndRequest, terminalIsGone } from '../shared/process/end-requests.ts';
import { withoutSecrets } from '../shared/secrets.ts';
import { buildDemoAvatar } from './demo-avatar.ts';
import { httpUrl } from './farm-address.ts';
import { LocalFarm } from './local-farm.ts';
import { formatLine } from './log-lines.ts';

export interface UpOptions {
  readonly config?: string;
}

/** `farm up`: runs a whole farm on this machine until it is told to stop. */
export async function up({ config: configPath }: UpOptions): Promise<void> {
  const config = loadConfig(configPath);
  const farm = new LocalFarm({
    config,
    onLine: (name, line) => print(formatLine(name, line)),
    onLost: (reason) => {
      print(`This farm ends at once: ${reason}`);
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
      print('Ending at once; unfinished renders go on when the farm is started again.');
      endAtOnce(exitCodeOf(signal));
    },
  });
  // The signal to reload is also what a terminal sends when it is closed.
  process.on('SIGHUP', () => terminalIsGone() || farm.reload());
  ending.signal.addEventListener('abort', () => print('Draining; a second Ctrl-C or SIGTERM ends the farm at once …'));
  try {
    await buildDemoAvatar(config, ending.signal);
    print(`Starting the farm (process ${process.pid}) …`);
    const stopped = stopWhenAsked(farm, ending.signal);
    await farm.start();
    print(describe(farm, config, configPath));
    await stopped;
  } catch (error) {
    // What fails because it was asked to stop is no failure.
    if (!ending.signal.aborted) throw error;
    await farm.stop();
  }
  // Both ways of stopping are over at the same moment: the other one has said how.
  if (!endsAtOnce) print('The farm has stopped.');
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
    `  Dashboard  ${base}/dashboard`,
    `  Redis      ${farm.redisUrl}${farm.hasPrivateRedis ? '  (its own)' : ''}`,
    `  Data       ${config.storageRoot}`,
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

function print(text: string): void {
  process.stdout.write(`${withoutSecrets(text)}\n`);
}
