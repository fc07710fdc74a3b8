import { once } from 'node:events';
import { createServer } from 'node:http';
import { z } from 'zod';
import { optionalListenAddress } from '../shared/config/value-forms.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import { findListenFault } from '../shared/process/listen-fault.ts';

/** Where a worker shows how it is, to what starts it again when it hangs: a cluster's probes, a monitor. */

/** What a worker does now: it comes up, takes jobs, or is about to end. */
export type WorkerStage = 'starting' | 'ready' | 'draining';

const THIS_MACHINE = '127.0.0.1';
const JSON_TEXT = { 'content-type': 'application/json' };

export interface WorkerHealth {
  stage: WorkerStage;
  close(): void;
}

/**
 * Answers `GET /healthz` with 200 as long as this thread is not blocked, and `GET /readyz` with 200 while the worker
 * takes jobs, else 503; both say `{"status": "starting" | "ready" | "draining"}`. Neither asks Redis: a worker waits for
 * a Redis that is away, and starting it again would not help.
 * @param address such as "0.0.0.0:8081", or ":8081" for this machine alone; undefined: nothing listens.
 * @throws FarmError `config_invalid` for what is no address, `port_taken`.
 */
export async function showHealth(address: string | undefined): Promise<WorkerHealth> {
  const health = { stage: 'starting' as WorkerStage, close: () => {} };
  if (address === undefined) return health;
  const { host, port } = readAddress(address);
  const server = createServer((request, response) => {
    const ready = { '/healthz': true, '/readyz': health.stage === 'ready' }[request.url ?? ''];
    const status = ready === undefined ? 404 : ready ? 200 : 503;
    response.writeHead(status, JSON_TEXT).end(`${JSON.stringify({ status: health.stage })}\n`);
  }).listen({ host, port });
  try {
    await once(server, 'listening');
  } catch (error) {
    throw (await findListenFault('--health', host, port)) ?? error;
  }
  health.close = () => {
    server.close();
    server.closeAllConnections();
  };
  return health;
}

function readAddress(text: string): { host: string; port: number } {
  const parsed = z.safeParse(optionalListenAddress, text);
  if (!parsed.success || !parsed.data) {
    throw new FarmError('config_invalid', `--health ${text}: expected an address such as 0.0.0.0:8081 or :8081`);
  }
  const { host = THIS_MACHINE, port } = parsed.data;
  return { host, port };
}
