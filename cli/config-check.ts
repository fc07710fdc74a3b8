import { loadConfig } from '../shared/config/load.ts';
import { keysWithoutEffect } from '../shared/config/no-effect.ts';
import { keptToThisMachine, refuseOpenAddress } from '../shared/config/open-address.ts';
import { printJson } from './json-output.ts';

/** `farm config check`: reads the configuration as a farm would, and says what it found. FarmError: config_invalid, access_open. */
export function checkConfig({ config: configPath, json }: { config?: string; json?: boolean }): void {
  const config = loadConfig(configPath);
  refuseOpenAddress(config);
  const kept = keptToThisMachine(config);
  const notes = [
    ...keysWithoutEffect(config).map(({ key, why }) => `${key} has no effect: ${why}`),
    ...(kept ? [kept] : []),
  ];
  const models = [...config.models.keys()];
  if (json) {
    printJson({ source: config.sourcePath ?? null, models, notes });
    return;
  }
  const source = config.sourcePath ?? 'There is no configuration file: the built-in defaults';
  const lines = [
    `${source} ${config.sourcePath ? 'is' : 'are'} in order: ${models.length} model(s): ${models.join(', ') || 'none'}`,
    ...notes.map((note) => `– ${note}`),
    'farm doctor checks the files of the models and this machine as well.',
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}
