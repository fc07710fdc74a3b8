import type { Redis } from 'ioredis';
import { RenderStore } from '../../shared/renders/store.ts';
import type { Replicas } from './replicas.ts';

/**
 * The records as a front end changes them where Redis fails over: what it tells a client to be done is on a replica, too.
 * Whoever takes a step again, because the primary died before, finds it done or does it anew.
 */
export class ReplicatedRenderStore extends RenderStore {
  readonly #replicas: Replicas;

  constructor(redis: Redis, replicas: Replicas) {
    super(redis);
    this.#replicas = replicas;
  }

  override async admit(...args: Parameters<RenderStore['admit']>) {
    return await this.#kept(super.admit(...args));
  }

  override async cancel(...args: Parameters<RenderStore['cancel']>) {
    return await this.#kept(super.cancel(...args));
  }

  override async remove(...args: Parameters<RenderStore['remove']>) {
    return await this.#kept(super.remove(...args));
  }

  override async retry(...args: Parameters<RenderStore['retry']>) {
    return await this.#kept(super.retry(...args));
  }

  async #kept<T>(change: Promise<T>): Promise<T> {
    const answer = await change;
    await this.#replicas.haveAll();
    return answer;
  }
}
