import { z } from 'zod';
import { KEY_NAME, ROLES, SHORTEST_PLAIN_KEY } from '../api-keys.ts';
import { ENCODER_WINDOWS, JPEG_QUALITY, MODEL_ID } from '../limits.ts';
import { host } from './host-section.ts';
import { inputs } from './inputs-section.ts';
import { live } from './live-section.ts';
import { modelSchema } from './model-entry.ts';
import { modelsFrom } from './models-from-section.ts';
import { logging, metrics, tracing } from './observability-sections.ts';
import { redis } from './redis-section.ts';
import { storage } from './storage-section.ts';
import {
  LAST_PORT,
  listenAddress,
  looseSection,
  optionalListenAddress,
  orDefault,
  positiveInt,
  section,
} from './value-forms.ts';
import { webhooks } from './webhooks-section.ts';

/**
 * The configuration file, key by key. Keys, forms and defaults of the one-process server load unchanged; the sections
 * http, grpc, redis, storage, auth, limits, render, metrics and tracing are the farm's own.
 *
 * The one-process server read 0 and "" as "not set", so for its keys they mean the default here too.
 */

const server = section({
  /** ":50053" listens on every address, as for the one-process server, once keys are configured; else on loopback. */
  port: listenAddress('127.0.0.1:50053'),
  /** Of compositing.CompositingService and of inference.InferenceService, in the same forms; null: off. */
  compositing_port: optionalListenAddress,
  inference_port: optionalListenAddress,
  max_message_size_mb: positiveInt(100),
  worker_count_per_gpu: positiveInt(4),
  queue_size: positiveInt(10_000),
});

const gpus = section({
  enabled: z.boolean().default(true),
  count: positiveInt(1),
  memory_gb_per_gpu: orDefault(z.number().positive(), 24),
  /** The inference server took any other word, such as the "dedicated" that its file speaks of, for round-robin. */
  assignment_strategy: z.preprocess(
    (value) => (value === 'dedicated' ? 'round-robin' : value),
    orDefault(z.enum(['round-robin', 'least-loaded']), 'round-robin'),
  ),
  allow_multi_gpu_models: z.boolean().default(true),
});

/** Of the compositing server's file: where it found its inference server. Read, and without effect. */
const inferenceServer = looseSection({
  url: z.string().default(''),
  timeout_seconds: z.union([z.number(), z.string()]).default(10),
  max_retries: z.union([z.number(), z.string()]).default(3),
});

const capacity = section({
  max_models: positiveInt(100),
  max_memory_gb: orDefault(z.number().positive(), 20),
  background_cache_frames: positiveInt(250),
  eviction_policy: orDefault(z.enum(['lfu', 'lru']), 'lfu'),
  idle_timeout_minutes: orDefault(z.number().positive(), 60),
});

const onnx = section({
  library_path: z.string().default(''),
  cuda_streams_per_worker: positiveInt(2),
  intra_op_threads: z.int().nonnegative().default(0),
  inter_op_threads: z.int().nonnegative().default(0),
  execution_providers: z
    .array(z.enum(['cuda', 'webgpu', 'cpu']))
    .min(1)
    .default(['cuda', 'cpu']),
  audio_encoder_path: z.string().default(''),
});

const output = section({
  format: orDefault(z.enum(['jpeg', 'raw']), 'jpeg'),
  jpeg_quality: orDefault(z.int().min(JPEG_QUALITY.min).max(JPEG_QUALITY.max), 75),
});

const HOST_NAME = /^[\p{L}\p{N}](?:[\p{L}\p{N}._-]*[\p{L}\p{N}])?$|^\[?[\da-f:.]+\]?$/iu;
/** An address, or a network of addresses such as 10.0.0.0/8. */
const NETWORK = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]);

/** https://product.example.com: what a browser sends as Origin. */
function isOrigin(text: string): boolean {
  return /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text;
}

const http = section({
  port: orDefault(z.int().min(1).max(LAST_PORT), 8080),
  host: z.string().min(1).default('127.0.0.1'),
  /** Names, beside `host` and those of loopback, by which clients may ask for this farm. */
  allowed_hosts: z.array(z.string().regex(HOST_NAME, 'expected a host name without a port')).default([]),
  /** Origins of pages, beside the farm's own, that may use it from a browser. */
  allowed_origins: z
    .array(z.string().refine(isOrigin, 'expected an origin such as "https://product.example.com"'))
    .default([]),
  /** Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed. */
  trusted_proxies: z.array(NETWORK).default([]),
});

const grpc = section({
  /** Lets tools such as grpcurl ask which services there are. */
  reflection: z.boolean().default(true),
  /** PEM files; relative paths begin at the configuration file. All empty: no TLS. */
  tls: section({
    cert_path: z.string().default(''),
    key_path: z.string().default(''),
    /** Clients must show a certificate of this authority; empty: they need none. */
    ca_path: z.string().default(''),
  }),
  /** Calls at the same time on one connection. */
  max_concurrent_streams: positiveInt(100),
  /** How often a silent connection is asked whether it is still there. */
  keepalive_seconds: positiveInt(30),
});

const apiKey = section({
  /** Owns the renders that are made with the key. */
  name: z.string().regex(KEY_NAME, 'expected letters, digits, ".", "_" and "-", 64 at most'),
  /** Hash of the key: `farm key new` makes both. */
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/i, 'expected the SHA-256 of a key, 64 hex digits')
    .transform((hex) => hex.toLowerCase()),
  role: z.enum(ROLES),
  /** What the key may take; 0: as much as the farm has. */
  requests_per_minute: z.int().nonnegative().default(0),
  max_unfinished_renders: z.int().nonnegative().default(0),
  max_unfinished_frames: z.int().nonnegative().default(0),
  max_streams: z.int().nonnegative().default(0),
  storage_quota_gb: z.number().nonnegative().default(0),
});
export type KeyEntry = z.output<typeof apiKey>;

const isDistinct = (values: readonly string[]) => new Set(values).size === values.length;

/** No keys of either kind: no login. Otherwise every request needs one of them. */
const auth = section({
  /** Keys as they are, with the role "admin". */
  api_keys: z.array(z.string().min(SHORTEST_PLAIN_KEY)).default([]),
  keys: z
    .array(apiKey)
    .refine((keys) => isDistinct(keys.map(({ name }) => name)), 'two keys have the same name')
    .refine((keys) => isDistinct(keys.map(({ sha256 }) => sha256)), 'two keys have the same hash')
    .default([]),
  /** Without a key the servers start on loopback only, unless this allows everybody in. */
  open_to_network: z.boolean().default(false),
});

const limits = section({
  max_upload_mb: positiveInt(1024),
  max_audio_minutes: orDefault(z.number().positive(), 60),
  /** Of footage that a render shows: each of its pictures takes disk until the render has ended. */
  max_video_minutes: orDefault(z.number().positive(), 10),
  /** How long a live request may wait for a GPU worker, when its caller sets no deadline. */
  live_wait_seconds: positiveInt(10),
  /** How long a drain waits for running work before it hands it back. */
  drain_seconds: positiveInt(20),
  /** Work of a GPU worker that shows no progress for so long is stuck; loading a model may take five times as long. */
  stuck_seconds: positiveInt(120),
  /** Memory that requests may take together in a front end; 0: a quarter of the machine's. */
  memory_budget_mb: z.int().nonnegative().default(0),
  /** Frames that may be planned and unfinished; further renders wait, and new ones are refused. */
  max_unfinished_frames: positiveInt(5_000_000),
  /** Uploads that may wait to be read; further ones are refused. */
  max_waiting_uploads_gb: orDefault(z.number().positive(), 50),
  /** Disk of storage.root that new work leaves free; 0: none. */
  disk_reserve_gb: z.number().nonnegative().default(1),
  /** Bytes that renders may take together: above it new ones are refused, and nothing is removed; 0: any number. */
  storage_quota_gb: z.number().nonnegative().default(0),
  /** Connections that a front end holds at once, HTTP and gRPC each. */
  max_connections: positiveInt(1000),
  /** Clients that may follow events at a front end at once. */
  max_event_streams: positiveInt(200),
  /** Finished videos that a front end shows frame by frame at once, each with an ffmpeg of its own. */
  max_video_previews: positiveInt(4),
});

const A_WEEK_IN_MINUTES = 10_080;
const render = section({
  segment_frames: positiveInt(100),
  /** Frames a network batch; part of what makes pictures identical, so the same on every worker. */
  batch_frames: orDefault(z.int().min(1).max(64), 4),
  /** Windows an encoder batch; the same on every worker too. */
  encoder_batch_windows: orDefault(z.int().min(ENCODER_WINDOWS.min).max(ENCODER_WINDOWS.max), ENCODER_WINDOWS.max),
  attempts: positiveInt(3),
  /** How long a job whose machine is at fault (disk, memory, tools) is tried again, whatever `attempts` says; 0: never. */
  farm_fault_minutes: z.number().nonnegative().max(A_WEEK_IN_MINUTES).default(60),
  /** How long a render waits that no worker of the farm can go on with, until it fails; 0: for ever. */
  no_worker_minutes: z.number().nonnegative().max(A_WEEK_IN_MINUTES).default(60),
  h264_crf: orDefault(z.int().min(1).max(51), 20),
  h264_preset: orDefault(
    z.enum(['ultrafast', 'superfast', 'veryfast', 'faster', 'fast', 'medium', 'slow', 'slower', 'veryslow']),
    'veryfast',
  ),
});

const retention = section({
  /** How often the farm looks for what has expired; 0: only when it is told to, by `farm gc`. */
  every_minutes: z.number().nonnegative().max(A_WEEK_IN_MINUTES).default(60),
  /** Completed renders, record and files; 0: for ever. */
  completed_days: z.number().nonnegative().default(0),
  /** Failed and cancelled ones; 0: for ever. */
  failed_days: z.number().nonnegative().default(30),
  /** Files of renders in all: above it the oldest ended ones go; 0: any size. */
  max_stored_gb: z.number().nonnegative().default(0),
  /** Files without a render, and what a render left half written, since they were last touched; 0: for ever. */
  orphan_hours: z
    .number()
    .refine((hours) => hours === 0 || hours >= 1, 'expected 0 or at least 1: clocks differ, and uploads pause')
    .default(24),
  /** Prepared pictures of avatars that no loaded model has used; 0: for ever. */
  prepared_days: z.number().nonnegative().default(30),
  /** Failed jobs on the dashboard; 0: for ever, up to 2000 a queue. */
  failed_job_days: z.number().nonnegative().default(7),
});

const dashboard = section({
  /** Whether its buttons change nothing; false: those with the role admin may press them. */
  read_only: z.boolean().default(true),
});

export const configSchema = z.strictObject({
  server,
  inference_server: inferenceServer,
  gpus,
  capacity,
  onnx,
  output,
  logging,
  models_root: orDefault(z.string(), ''),
  models_from: modelsFrom,
  models: orDefault(
    z
      .record(z.string().regex(MODEL_ID, 'a model id has letters, digits, ".", "_" and "-" only'), modelSchema)
      .optional(),
    undefined,
  ),
  host,
  http,
  grpc,
  redis,
  storage,
  auth,
  limits,
  inputs,
  live,
  render,
  retention,
  dashboard,
  webhooks,
  metrics,
  tracing,
});

export type ConfigValues = z.output<typeof configSchema>;
