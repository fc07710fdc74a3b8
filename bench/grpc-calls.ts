import { fileURLToPath } from 'node:url';
import { Client, credentials, type ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const PROTO_FOLDER = fileURLToPath(new URL('../proto/', import.meta.url));
const protos = loadSync(['monolithic.proto', 'inference.proto', 'farm.proto', 'health.proto'], {
  includeDirs: [PROTO_FOLDER],
  keepCase: true,
});
const SAMPLES_PER_MS = 16;
const LARGEST_MESSAGE = 128 * 2 ** 20;
/** Of an answer, this much may be on its way. grpc-js has 64 KB: after those the server waits for the client's word. */
const WINDOW_BYTES = 2 ** 20;

interface InferAnswer {
  readonly frames: number;
  /** The pipeline's share. */
  readonly workMs: number;
  readonly totalMs: number;
}

/** A client as a user would build it, for benchmarks. */
export class GrpcCalls {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure(), {
      'grpc.max_receive_message_length': LARGEST_MESSAGE,
      'grpc-node.flow_control_window': WINDOW_BYTES,
      // For retries the client would keep what it sends.
      'grpc.enable_retries': 0,
    });
  }

  /** @param visualFrames [frames, 6, S, S] float32 in place of the avatar's pictures. */
  async infer(modelId: string, audio: Buffer, frames: number, visualFrames?: Buffer): Promise<InferAnswer> {
    const answer = await this.#unary('InferBatchComposite', {
      ...{ model_id: modelId, raw_audio: audio, batch_size: frames, sample_rate: 16_000 },
      ...(visualFrames ? { visual_frames: visualFrames } : {}),
    });
    if (!answer.success) throw new Error(String(answer.error));
    const [audioMs, inferenceMs, compositeMs, totalMs] = [
      answer.audio_processing_ms,
      answer.inference_time_ms,
      answer.composite_time_ms,
      answer.total_time_ms,
    ].map((ms) => Number(ms ?? 0)) as [number, number, number, number];
    const composited = (answer.composited_frames as Buffer[]).length;
    return { frames: composited, workMs: audioMs + inferenceMs + compositeMs, totalMs };
  }

  /** As `infer`, of the inference server: the network's own output. Resolves with how many mouths there were. */
  async mouths(modelId: string, audio: Buffer, frames: number, visualFrames: Buffer): Promise<number> {
    const request = { model_id: modelId, raw_audio: audio, batch_size: frames, visual_frames: visualFrames };
    const answer = await this.#unary('InferBatch', request, 'inference.InferenceService');
    if (!answer.success) throw new Error(String(answer.error));
    return (answer.outputs as object[]).length;
  }

  async health(): Promise<void> {
    await this.#unary('Check', {}, 'grpc.health.v1.Health');
  }

  /**
   * Opens a stream, sends all of the sound and ends it; resolves at its end.
   * @returns milliseconds until `wanted` frames were there, and how many came.
   */
  async stream(modelId: string, audio: Buffer, wanted: number): Promise<readonly [ms: number, frames: number]> {
    const { path, requestSerialize, responseDeserialize } = method('lipsync.farm.v1.FarmService', 'Stream');
    const call = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    const done = Promise.withResolvers<void>();
    const startedAt = performance.now();
    let [frames, ms] = [0, Number.NaN];
    call.on('data', (message: { frame?: object }) => {
      if (message.frame && ++frames === wanted) ms = performance.now() - startedAt;
    });
    call.on('error', done.reject);
    call.on('end', done.resolve);
    call.write({ open: { model_id: modelId, sample_rate: 16_000 } });
    call.write({ audio });
    call.end();
    await done.promise;
    return [ms, frames];
  }

  /**
   * A stream in real time: sound comes in pieces of `pieceMs` for so many seconds. Resolves with what each frame says of
   * itself: milliseconds from the end of the sound that it needs to when it left the farm.
   */
  async talk(modelId: string, seconds: number, pieceMs: number): Promise<number[]> {
    const { path, requestSerialize, responseDeserialize } = method('lipsync.farm.v1.FarmService', 'Stream');
    const call = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    const ended = Promise.withResolvers<void>();
    const latenciesMs: number[] = [];
    call.on('data', ({ frame }: { frame?: { latency_ms: number } }) => {
      if (frame) latenciesMs.push(frame.latency_ms);
    });
    call.on('error', (error) => ended.reject(error));
    call.on('end', () => ended.resolve());
    call.write({ open: { model_id: modelId, sample_rate: 16_000 } });
    const piece = Buffer.alloc(pieceMs * SAMPLES_PER_MS * Float32Array.BYTES_PER_ELEMENT);
    const startedAt = performance.now();
    let sent = 0;
    const speaking = setInterval(() => {
      for (; sent < (performance.now() - startedAt) / pieceMs && sent * pieceMs < seconds * 1000; sent++)
        call.write({ audio: piece });
      if (sent * pieceMs >= seconds * 1000) {
        clearInterval(speaking);
        call.end();
      }
    }, pieceMs);
    try {
      await ended.promise;
    } finally {
      clearInterval(speaking);
    }
    return latenciesMs;
  }

  close(): void {
    this.#client.close();
  }

  #unary(name: string, request: object, service = 'monolithic.MonolithicService'): Promise<Record<string, unknown>> {
    const { path, requestSerialize, responseDeserialize } = method(service, name);
    const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>();
    this.#client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, answer) =>
      error ? reject(error) : resolve(answer as Record<string, unknown>),
    );
    return promise;
  }
}

function method(service: string, name: string) {
  const definition = (protos[service] as ServiceDefinition)[name];
  if (!definition) throw new Error(`There is no ${service}/${name}`);
  return definition;
}
