import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import {
  type CallOptions,
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  credentials as channelCredentials,
  Metadata,
  type MethodDefinition,
  type ServiceDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { protoPath as healthProto } from 'grpc-health-check';
import type { Open, StreamRequest } from '../../api/grpc/messages/farm.ts';
import { until } from '../support/until.ts';

/** A client as any user would build it: grpc-js and the .proto files, nothing of the server. */

const PROTO_FOLDER = fileURLToPath(new URL('../../proto/', import.meta.url));
const protos = loadSync(['monolithic.proto', 'compositing.proto', 'inference.proto', 'farm.proto', healthProto], {
  includeDirs: [PROTO_FOLDER],
  keepCase: true,
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
});

export const MONOLITHIC = 'monolithic.MonolithicService';
export const COMPOSITING = 'compositing.CompositingService';
export const INFERENCE = 'inference.InferenceService';
export const FARM = 'lipsync.farm.v1.FarmService';
export const HEALTH = 'grpc.health.v1.Health';

const LARGEST_MESSAGE = 128 * 2 ** 20;

export interface CallSettings {
  readonly key?: string;
  readonly timeoutMs?: number;
}

/** A message that came over a stream. */
export type Message = Record<string, unknown>;

export type StreamCall = ClientDuplexStream<StreamRequest, Message>;

export class TestClient extends Client {
  constructor(address: string, credentials: ChannelCredentials = channelCredentials.createInsecure()) {
    super(address, credentials, {
      'grpc.max_receive_message_length': LARGEST_MESSAGE,
      'grpc.max_send_message_length': LARGEST_MESSAGE,
      // Each test file has farms of its own: no connection may be left over from another.
      'grpc.use_local_subchannel_pool': 1,
      // For retries the client keeps a megabyte of what it sends, and calls that sent.
      'grpc.enable_retries': 0,
    });
  }

  unary<A>(service: string, name: string, message: object, settings: CallSettings = {}): Promise<A> {
    const { path, requestSerialize, responseDeserialize } = methodOf(service, name);
    const answer = Promise.withResolvers<A>();
    this.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      message,
      metadataOf(settings),
      optionsOf(settings),
      (error, value) => (error ? answer.reject(error) : answer.resolve(value as A)),
    );
    return answer.promise;
  }

  /** Uploads all messages and resolves with the answer. */
  async upload<A>(service: string, name: string, messages: Iterable<object>, settings: CallSettings = {}): Promise<A> {
    const { call, answer } = this.open<A>(service, name, settings);
    for (const message of messages) call.write(message);
    call.end();
    return await answer;
  }

  /** Opens a call that uploads messages. */
  open<A>(
    service: string,
    name: string,
    settings: CallSettings = {},
  ): { call: ClientWritableStream<object>; answer: Promise<A> } {
    const { path, requestSerialize, responseDeserialize } = methodOf(service, name);
    const answer = Promise.withResolvers<A>();
    const call = this.makeClientStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      metadataOf(settings),
      optionsOf(settings),
      (error, value) => (error ? answer.reject(error) : answer.resolve(value as A)),
    );
    return { call, answer: answer.promise };
  }

  watch(service: string, name: string, message: object, settings: CallSettings = {}): ClientReadableStream<Message> {
    const { path, requestSerialize, responseDeserialize } = methodOf(service, name);
    return this.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize as (bytes: Buffer) => Message,
      message,
      metadataOf(settings),
      optionsOf(settings),
    );
  }

  stream(settings: CallSettings = {}): ClientDuplexStream<StreamRequest, Message> {
    const { path, requestSerialize, responseDeserialize } = methodOf(FARM, 'Stream');
    return this.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize as (bytes: Buffer) => Message,
      metadataOf(settings),
      optionsOf(settings),
    );
  }

  async healthStatus(service = ''): Promise<string> {
    return (await this.unary<{ status: string }>(HEALTH, 'check', { service })).status;
  }

  /** Resolves when the health service says `status`. */
  async untilHealth(status: string): Promise<void> {
    await until(`the health is ${status}`, async () => (await this.healthStatus()) === status);
  }
}

/** Sends a message when there is room for it. */
export async function send(call: ClientDuplexStream<StreamRequest, Message>, message: StreamRequest): Promise<void> {
  if (!call.write(message)) await once(call, 'drain');
}

/** Rejects unless the call fails; resolves with its error. */
export async function failureOf(call: Promise<unknown>): Promise<ServiceError> {
  try {
    await call;
  } catch (error) {
    return error as ServiceError;
  }
  throw new Error('The call succeeded, expected it to fail');
}

/** The farm's own code of a failed call. */
export const farmCode = (error: ServiceError) => error.metadata.get('farm-error-code')[0];

/** What the .proto files say of a call: its path, and how its messages are written. */
export function methodOf(service: string, name: string): MethodDefinition<object, object> {
  const found = Object.values(protos[service] as ServiceDefinition).find(({ path }) =>
    path.toLowerCase().endsWith(`/${name.toLowerCase()}`),
  );
  if (!found) throw new Error(`${service} has no method ${name}`);
  return found as MethodDefinition<object, object>;
}

function metadataOf({ key }: CallSettings): Metadata {
  const metadata = new Metadata();
  if (key !== undefined) metadata.set('authorization', `Bearer ${key}`);
  return metadata;
}

function optionsOf({ timeoutMs }: CallSettings): CallOptions {
  return timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
}

/**
 * Opens a stream and waits until it is let in.
 * @param opened gets it before that, so that it can be cancelled whatever comes of it.
 */
export async function openStream(client: TestClient, model_id: string, opened: StreamCall[]): Promise<StreamCall> {
  const stream = client.stream();
  opened.push(stream);
  // Who cancels hears of it; these tests do not ask.
  stream.on('error', () => {});
  stream.write({ open: { model_id } as Open });
  const letIn = Promise.withResolvers<void>();
  stream.once('data', () => letIn.resolve());
  stream.once('error', letIn.reject);
  await letIn.promise;
  return stream;
}
