import { farmProcesses } from '../../cli/supervisor/farm-processes.ts';
import { Supervisor } from '../../cli/supervisor/supervisor.ts';

export interface FarmProcesses {
  readonly supervisor: Supervisor;
  /** What the processes logged, line by line, each with the name of its process before it. */
  readonly log: readonly string[];
}

/**
 * Starts the processes of a farm, each with an environment of its own. If one does not start, all end.
 * @param environmentOf what a process of this name (`api`, `media`, `gpu-0` …) has in its environment.
 */
export async function startFarmProcesses(
  configPath: string,
  gpuCount: number,
  environmentOf: (name: string) => Record<string, string> | Promise<Record<string, string>>,
): Promise<FarmProcesses> {
  const log: string[] = [];
  const supervisor = new Supervisor({
    environment: { FARM_CONFIG: configPath },
    inheritOverrides: false,
    onLine: (name, line) => void log.push(`${name} ${line}`),
    drainMs: 10_000,
  });
  try {
    const specs = farmProcesses(gpuCount, undefined).map(async (spec) => ({
      ...spec,
      environment: { ...spec.environment, ...(await environmentOf(spec.name)) },
    }));
    await supervisor.start(await Promise.all(specs));
  } catch (error) {
    await supervisor.stop();
    throw error;
  }
  return { supervisor, log };
}
