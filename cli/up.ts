import { closeSync, openSync } from 'node:fs';
import { isatty } from 'node:tty';
import { loadConfig } from '../shared/config/load.ts';
import { buildDemoAvatar } from './demo-avatar.ts';
import { LocalFarm } from './local-farm.ts';
import { formatLine } from './log-lines.ts';

const startedOnTerminal = isatty(1);

export interface UpOptions {
  readonly config?: string;
}

/** `farm up`: runs a whole farm on this machine until it is told to stop. */
export async function up({ config: configPath }: UpOptions): Promise<void> {
  const config = loadConfig(configPath);
  const stopAsked = Promise.withResolvers<void>();
  process.on('SIGINT', () => stopAsked.resolve());
  process.on('SIGTERM', () => stopAsked.resolve());
  let farm: LocalFarm | undefined;
  // The signal to reload is also what a terminal sends when it is closed.
  process.on('SIGHUP', () => (terminalIsGone() ? stopAsked.resolve() : farm?.reload()));
  // A terminal that is gone takes no more lines; that must not end the farm in the middle of its work.
  process.stdout.on('error', () => {});
  await buildDemoAvatar(config);
  const print = (text: string) => process.stdout.write(`${text}\n`);
  print('Starting the farm …');
  farm = await LocalFarm.start({ config, onLine: (name, line) => print(formatLine(name, line)) });
  const base = `http://${config.http.host}:${config.http.port}`;
  print(
    [
      '',
      'The farm is up.',
      `  HTTP       ${base}`,
      `  gRPC       ${config.server.port.host ?? '0.0.0.0'}:${config.server.port.port}`,
      `  Dashboard  ${base}/dashboard`,
      `  Redis      ${farm.redisUrl}${farm.hasPrivateRedis ? '  (its own)' : ''}`,
      `  Data       ${config.storageRoot}`,
      `  Models     ${[...config.models.keys()].join(', ') || 'none'}`,
      `  Processes  ${[...farm.pids].map(([name, pid]) => `${name} ${pid}`).join(', ')}`,
      '',
      `Submit a render:  curl -F audio=@speech.wav ${base}/v1/renders`,
      'Stop with Ctrl-C: running work is finished or handed back.',
      '',
    ].join('\n'),
  );
  await stopAsked.promise;
  print('Draining …');
  await farm.stop();
  print('The farm has stopped.');
}

/** True when this process was started from a terminal that is no longer there. */
function terminalIsGone(): boolean {
  if (!startedOnTerminal) return false;
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return false;
  } catch {
    return true;
  }
}
