import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../../shared/config/load.ts';
import { grpcAddresses, metricsHost } from '../../shared/config/open-address.ts';
import { findListenFault } from '../../shared/process/listen-fault.ts';
import { isSurelyAlive } from '../../shared/process/process-life.ts';
import { readHolder } from '../supervisor/farm-lock.ts';

export interface PortFault {
  readonly text: string;
  readonly remedy: string;
}

export interface PortFacts {
  /** Addresses that a farm with this configuration listens on, or the process of the farm that does so now. */
  readonly text: string;
  readonly faults: readonly PortFault[];
}

interface Address {
  /** As in "http.port". */
  readonly key: string;
  readonly host: string;
  readonly port: number;
}

/** Whether a farm with this configuration could listen where it is to. The farm of this folder may do so already. */
export async function checkPorts(config: Config): Promise<PortFacts> {
  const addresses = addressesOf(config);
  const named = addresses.map(({ key, host, port }) => `${key} ${host}:${port}`).join(', ');
  const holder = await readHolder(config.storageRoot);
  if (holder && isSurelyAlive(holder))
    return { text: `${named}: in use by this farm, process ${holder.pid}`, faults: [] };
  const faults: PortFault[] = [];
  for (const [index, address] of addresses.entries()) {
    const before = addresses.slice(0, index).find((other) => other.port === address.port && meet(other, address));
    if (before) {
      const text = `${before.key} and ${address.key} are the same port, ${address.port}`;
      faults.push({ text, remedy: `give ${address.key} another one` });
      continue;
    }
    const fault = await findListenFault(address.key, address.host, address.port);
    if (fault) faults.push({ text: fault.message, remedy: `stop what listens there, or change ${address.key}` });
  }
  return { text: `${named}: free`, faults };
}

/** What a farm that was killed has left behind gives its addresses back by itself, within moments. */
const GIVEN_BACK_WITHIN_MS = 3000;
const LOOK_EVERY_MS = 100;

/**
 * Resolves once a farm with this configuration could listen where it is to; FarmError('port_taken') when another program
 * keeps an address, 'config_invalid' for an address that cannot be used.
 */
export async function untilPortsFree(config: Config): Promise<void> {
  const deadlineMs = performance.now() + GIVEN_BACK_WITHIN_MS;
  for (const { key, host, port } of addressesOf(config)) {
    for (;;) {
      const fault = await findListenFault(key, host, port);
      if (!fault) break;
      if (fault.code !== 'port_taken' || performance.now() > deadlineMs) throw fault;
      await delay(LOOK_EVERY_MS);
    }
  }
}

function addressesOf(config: Config): Address[] {
  const { http, metrics } = config;
  return [
    { key: 'http.port', host: http.host, port: http.port },
    ...grpcAddresses(config),
    ...(metrics.listen ? [{ key: 'metrics.listen', host: metricsHost(config), port: metrics.listen.port }] : []),
  ];
}

const EVERY_ADDRESS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

function meet(a: Address, b: Address): boolean {
  return a.host === b.host || EVERY_ADDRESS.has(a.host) || EVERY_ADDRESS.has(b.host);
}
