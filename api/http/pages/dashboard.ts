import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import type { Job, Queue } from 'bullmq';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { FarmError } from '../../../shared/errors/farm-error.ts';
import { jobSchema } from '../../../shared/jobs/jobs.ts';
import { enrolledGpus, MEDIA_QUEUES, type MediaQueue, WEBHOOK_QUEUE } from '../../../shared/jobs/queues.ts';
import { repeat } from '../../../shared/process/repeat.ts';
import type { Services } from '../../services.ts';
import { sendError } from '../errors.ts';
import { policy } from '../security-headers.ts';
import { SIGN_IN } from './sign-in-page.ts';

type JobStatus = ReturnType<BullMQAdapter['getJobStatuses']>[number];
type JobCounts = Awaited<ReturnType<BullMQAdapter['getJobCounts']>>;

const BASE_PATH = '/dashboard';
const MEDIA_DESCRIPTIONS: Record<MediaQueue, string> = {
  media: 'decode and plan, join and mux',
  'media-long': 'the same for long sounds, so that short ones do not wait behind them',
};
/** It styles elements by attributes; its type faces of Google are left out. */
const PAGE_POLICY = policy({
  ...{ 'script-src': "'self'", 'style-src': "'self' 'unsafe-inline'", 'img-src': "'self' data:", 'font-src': "'self'" },
  ...{ 'connect-src': "'self'", 'base-uri': "'self'" },
});
const STUDIO_LINK = { text: 'Studio', url: '/' };
const SIGN_OUT_LINK = { text: 'Sign out', url: SIGN_IN };
const refusalSchema = z.looseObject({ error: z.looseObject({ key: z.string() }) });
/** Methods that change nothing. */
const LOOKS = ['GET', 'HEAD'];
const LOOK_FOR_GPUS_EVERY_MS = 5000;

/**
 * Bull Board with every queue of the farm; queues of GPUs that join later appear by themselves. Read-only unless
 * `dashboard.read_only` is false: its buttons know jobs, not renders, so a record stays as it is whatever they do. Then
 * they want the role admin, and each is noted in the audit log.
 */
export async function mountDashboard(app: FastifyInstance, services: Services): Promise<void> {
  const { access, config, redis, queues } = services;
  const isReadOnly = config.dashboard.read_only;
  const serverAdapter = new FastifyAdapter();
  serverAdapter.setBasePath(BASE_PATH);
  const board = createBullBoard({
    queues: [
      ...MEDIA_QUEUES.map((name) => adapterOf(queues.media(name), MEDIA_DESCRIPTIONS[name], isReadOnly)),
      adapterOf(queues.named(WEBHOOK_QUEUE), 'messages to webhooks', isReadOnly),
    ],
    serverAdapter,
    options: {
      uiConfig: { boardTitle: 'Lipsync Farm', miscLinks: access.isOpen ? [STUDIO_LINK] : [STUDIO_LINK, SIGN_OUT_LINK] },
    },
  });
  // Handed on to the farm's own handler.
  serverAdapter.setErrorHandler((thrown) => {
    throw thrown;
  });
  const shown = new Set<number>();
  const show = (gpuId: number) => {
    if (shown.has(gpuId)) return;
    shown.add(gpuId);
    board.addQueue(adapterOf(queues.gpu(gpuId), `segments rendered on GPU ${gpuId}`, isReadOnly));
  };
  for (let gpuId = 0; gpuId < config.gpus.count; gpuId++) show(gpuId);
  const lookForGpus = async () => {
    for (const gpuId of await enrolledGpus(redis)) show(gpuId);
  };
  const looking = repeat(lookForGpus, { name: 'show new GPUs', everyMs: LOOK_FOR_GPUS_EVERY_MS, log: app.log });
  app.addHook('onClose', async () => await looking.stop());
  await app.register(
    async (pages) => {
      pages.addHook('onRoute', (route) => {
        const changes = [route.method].flat().some((method) => !LOOKS.includes(method));
        route.config = { ...route.config, access: changes ? 'admin' : 'operate', isPage: true };
      });
      pages.addHook('onRequest', isReadOnly ? refuseChanges : noteChanges(services));
      pages.addHook('onRequest', refuseNulls);
      pages.addHook('preSerialization', withCatalogueError);
      await pages.register(serverAdapter.registerPlugin());
    },
    { prefix: BASE_PATH },
  );
}

/** Bull Board's pages may load what is theirs, and nothing of them changes anything. */
async function refuseChanges({ method }: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
  reply.header('content-security-policy', PAGE_POLICY);
  if (LOOKS.includes(method)) return undefined;
  reply.header('allow', 'GET, HEAD');
  // Answered here, not thrown: Bull Board's own error handler would make it a 500.
  return sendError(reply, new FarmError('method_not_allowed', `The dashboard is read-only; it takes no ${method}`));
}

/** Where its buttons work, whoever presses one is noted. */
function noteChanges({ auditLog }: Pick<Services, 'auditLog'>) {
  return async ({ method, url }: FastifyRequest, reply: FastifyReply): Promise<void> => {
    reply.header('content-security-policy', PAGE_POLICY);
    if (!LOOKS.includes(method)) auditLog.note('dashboard.change', { method, path: url });
  };
}

/** Bull Board marks parts of its own messages with NUL: one in a parameter that it refuses would break it. */
async function refuseNulls({ query }: FastifyRequest): Promise<void> {
  if (!JSON.stringify(query).includes('\\u0000')) return;
  throw new FarmError('request_invalid', 'A parameter of the query holds the character NUL');
}

/**
 * What Bull Board refuses by itself, in the form of all errors. Its pages find the words for their own language by the
 * key that it gave, which stays.
 */
async function withCatalogueError(request: FastifyRequest, reply: FastifyReply, payload: unknown): Promise<unknown> {
  const own = refusalSchema.safeParse(payload);
  if (reply.statusCode < 400 || !own.success) return payload;
  const { key, ...rest } = own.data.error;
  const code = reply.statusCode === 404 ? 'not_found' : reply.statusCode < 500 ? 'request_invalid' : 'internal';
  const error = new FarmError(code, `The dashboard refuses ${request.url}: ${key}`);
  reply.status(error.httpStatus);
  return { ...own.data, error: { ...rest, key, ...error.toReport() } };
}

/**
 * What waits is called waiting: every job of the farm has a priority, and BullMQ keeps those apart as "prioritized",
 * beside a list of waiting jobs that is nearly always empty.
 */
class FarmQueueAdapter extends BullMQAdapter {
  override getJobStatuses(): JobStatus[] {
    return super.getJobStatuses().filter((status) => status !== 'prioritized');
  }

  override async getJobs(statuses: JobStatus[], start?: number, end?: number): Promise<Job[]> {
    const asked = statuses.flatMap((status): JobStatus[] =>
      status === 'waiting' ? [status, 'prioritized'] : [status],
    );
    return await super.getJobs(asked, start, end);
  }

  override async getJobCounts(): Promise<JobCounts> {
    const { waiting = 0, prioritized = 0, ...counts } = await super.getJobCounts();
    return { ...counts, waiting: waiting + prioritized };
  }
}

function adapterOf(queue: Queue, description: string, readOnlyMode: boolean): BullMQAdapter {
  const externalJobUrl = ({ data }: { data?: unknown }) => studioLinkOf(data);
  const adapter = new FarmQueueAdapter(queue, { readOnlyMode, description, externalJobUrl });
  adapter.setFormatter('name', ({ data }) => titleOf(data));
  return adapter;
}

/** Where the studio shows what the job is a part of. */
function studioLinkOf(data: unknown): { displayText: string; href: string } {
  const job = jobSchema.safeParse(data).data;
  if (job === undefined || !('renderId' in job)) return { displayText: 'The farm', href: '/#/farm' };
  return { displayText: 'The render', href: `/#/renders/${job.renderId}` };
}

/** "segment 3 of 8 · frames 200–299 · demo · r…": what a job is, without opening it. */
function titleOf(data: unknown): string {
  const parsed = jobSchema.safeParse(data);
  if (!parsed.success) return 'unknown job';
  const job = parsed.data;
  if (job.name === 'prepare' || job.name === 'stitch') return `${job.name} · ${job.renderId}`;
  if (job.name === 'webhook') return `webhook · ${job.deliveryId}`;
  const range = `frames ${job.frames.start}–${job.frames.end - 1}`;
  if (job.name === 'live') return `live · ${range} · ${job.modelId} · ${job.requestId}`;
  const moved = job.moved ? ` · failed on GPU ${job.moved.failedOn.join(', ')}` : '';
  return `segment ${job.segmentIndex + 1} of ${job.segmentCount} · ${range} · ${job.modelId} · ${job.renderId}${moved}`;
}
