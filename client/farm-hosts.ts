import { type HostList, type HostView, hostListSchema, hostViewSchema } from '../shared/views/host-view.ts';
import type { Connection } from './connection.ts';

/** The machines of a farm, and the orders that an operator can give them. */
export class FarmHosts {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Every host: its workers, tags, clock and versions, and what is wrong between hosts. */
  async list(): Promise<HostList> {
    return await this.#connection.read(hostListSchema, '/v1/hosts');
  }

  /** Takes a host out of service: all its workers finish what runs, and take nothing new. */
  async drain(name: string): Promise<HostView> {
    return await this.#connection.read(hostViewSchema, `${pathOf(name)}/drain`, { method: 'POST' });
  }

  /** Puts a host back into service. */
  async undrain(name: string): Promise<HostView> {
    return await this.#connection.read(hostViewSchema, `${pathOf(name)}/undrain`, { method: 'POST' });
  }

  /** Frees the numbers of a host that is gone for good. FarmError('farm_host_in_use') while a worker of it lives. */
  async forget(name: string): Promise<void> {
    await this.#connection.request(pathOf(name), { method: 'DELETE' });
  }
}

const pathOf = (name: string) => `/v1/hosts/${encodeURIComponent(name)}`;
