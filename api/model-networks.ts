import type { Config } from '../shared/config/load.ts';
import { HostModels } from '../shared/model-files/host-models.ts';
import type { Logger } from '../shared/process/log.ts';
import { repeat } from '../shared/process/repeat.ts';
import { ignored } from '../shared/process/unheard.ts';
import { MINUTE_MS } from '../shared/units.ts';

/** The networks that lie at addresses, on the host of this front end: it reads from them what they hear. */
export class ModelNetworks {
  readonly files: HostModels;
  readonly #stop: () => Promise<void>;

  /** Fetches them now, and sees once a minute whether one is missing. */
  constructor(config: Config, log: Logger) {
    this.files = new HostModels(config, log);
    const look = async () => {
      for (const model of [...config.models.values()]) {
        if (model.problems.length > 0) continue;
        await this.files.ready(model, { part: 'network' }).catch(ignored('it was logged, and a request tries again'));
      }
    };
    const options = { name: 'fetch networks from addresses', everyMs: MINUTE_MS, log, first: 'now' } as const;
    const looking = repeat(look, { ...options, keepsProcessAlive: false });
    this.#stop = () => looking.stop();
  }

  async stop(): Promise<void> {
    this.files.stop();
    await this.#stop();
  }
}
