import { z } from 'zod';
import { SHORTEST_HASHED_KEY } from '../api-keys.ts';
import { listenAddress, orDefault, positiveInt, section } from './value-forms.ts';

/** The sections that say what can be seen of a running farm: `logging`, `metrics` and `tracing`. */

const logLevel = z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']);

/** `off`, `log` for lines among those of the process, or the path of a file of its own. */
const lineTarget = (fallback: string) => orDefault(z.string(), fallback);

/** The section `logging`. */
export const logging = section({
  level: orDefault(logLevel, 'info'),
  log_level: z.preprocess((value) => value || undefined, logLevel.optional()),
  log_inference_times: z.boolean().default(false),
  log_compositing_times: z.boolean().default(false),
  log_cache_stats: z.boolean().default(false),
  log_gpu_utilization: z.boolean().default(false),
  save_debug_files: z.boolean().default(false),
  buffered_logging: z.boolean().default(false),
  /** Of the lines and files that a request leaves because of the keys above and of `access_log`, those of each Nth. */
  sample_rate: positiveInt(1),
  auto_flush: z.boolean().default(true),
  flush_interval_ms: positiveInt(1000),
  /** A line for each request and call that was answered. */
  access_log: lineTarget('off'),
  /** A line for each action that changes something: who did what. */
  audit_log: lineTarget('log'),
});

/** The section `metrics`. */
export const metrics = section({
  /** A key that opens /metrics and nothing else; empty: there is none. */
  token: z
    .string()
    .refine(
      (text) => text === '' || text.length >= SHORTEST_HASHED_KEY,
      `expected ${SHORTEST_HASHED_KEY} characters or more`,
    )
    .default(''),
  /** An address that serves /metrics and nothing else; empty: none beside http.port. */
  listen: z.preprocess((value) => value || null, listenAddress('').nullable()).default(null),
});

/** The section `tracing`. */
export const tracing = section({
  enabled: z.boolean().default(false),
  /** Where an OTLP collector listens over HTTP; empty: as OTEL_EXPORTER_OTLP_ENDPOINT says. */
  endpoint: z
    .string()
    .refine((text) => text === '' || (/^https?:/.test(text) && URL.canParse(text)), 'expected http://host:4318')
    .default(''),
  /** The part of the traces that begin here which is kept, 0 to 1; one that is passed in says so itself. */
  sample_ratio: z.number().min(0).max(1).default(1),
});
