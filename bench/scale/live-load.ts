import { setTimeout as delay } from 'node:timers/promises';
import type { GrpcCalls } from '../grpc-calls.ts';

export interface LiveLoad {
  readonly modelId: string;
  readonly requestsPerSecond: number;
  readonly seconds: number;
  readonly frames: number;
}

export interface LoadOutcome {
  readonly requests: number;
  /** From the call to its answer, of those that succeeded. */
  readonly latenciesMs: readonly number[];
  /** Error message → how often. */
  readonly failures: ReadonlyMap<string, number>;
}

/** Samples of sound for one frame. */
const SAMPLES_PER_FRAME = 640;

/** Sends unary requests at a fixed rate, whether or not earlier ones have been answered, and waits for all answers. */
export async function sendRequests(calls: GrpcCalls, load: LiveLoad): Promise<LoadOutcome> {
  const { modelId, requestsPerSecond, seconds, frames } = load;
  const audio = Buffer.alloc(frames * SAMPLES_PER_FRAME * Float32Array.BYTES_PER_ELEMENT);
  const requests = Math.round(requestsPerSecond * seconds);
  const latenciesMs: number[] = [];
  const failures = new Map<string, number>();
  const startedAt = performance.now();
  const ask = async (number: number): Promise<void> => {
    await delay(Math.max(1, startedAt + (number * 1000) / requestsPerSecond - performance.now()));
    const sentAt = performance.now();
    try {
      await calls.infer(modelId, audio, frames);
      latenciesMs.push(performance.now() - sentAt);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      failures.set(message, (failures.get(message) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: requests }, (_, number) => ask(number)));
  return { requests, latenciesMs, failures };
}
