import type { KeyFarm } from './key-farm.ts';

/** Renders of `ann` that are cancelled at the end of their block, whatever became of its check. */
export class CancelledRenders {
  readonly #farm: KeyFarm;
  readonly #ids: string[] = [];

  constructor(farm: KeyFarm) {
    this.#farm = farm;
  }

  async submit(file: string, client = this.#farm.client): Promise<string> {
    const { id } = await client.submit(file, { modelId: 'ann' });
    this.#ids.push(id);
    return id;
  }

  async cancel(): Promise<void> {
    for (const id of this.#ids.splice(0)) await this.#farm.client.cancel(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cancel();
  }
}
