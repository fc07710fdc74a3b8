import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Collected } from '../../../shared/retention/collector.ts';
import { type GcView, gcViewSchema } from '../../../shared/views/gc-view.ts';
import type { Services } from '../../services.ts';
import { failures } from '../openapi.ts';

const MOST_ITEMS = 1000;

/** /v1/gc: remove now what has expired, or see what would go. */
export const gcRoutes: FastifyPluginAsyncZod<Services> = async (app, { collector, auditLog }) => {
  const schema = {
    ...{
      operationId: 'collectExpired',
      tags: ['farm'],
      summary: 'Remove what has expired, or name it with dry_run=true',
    },
    querystring: z.strictObject({
      dry_run: z.enum(['true', 'false']).default('false'),
      cache: z.enum(['true', 'false']).default('false').describe('Whether all kept segments go as well'),
    }),
    response: {
      200: gcViewSchema,
      ...failures('gc_running', 'farm_mismatch', 'storage_unmarked', 'storage_failed', 'forbidden'),
    },
  };
  app.post('/v1/gc', { schema, config: { access: 'admin' } }, async ({ query }) => {
    const dryRun = query.dry_run === 'true';
    if (dryRun) return toView(dryRun, await collector.preview(), await collector.kept());
    const found = await auditLog.noting('farm.gc', {}, async () => {
      if (query.cache === 'true') await collector.clearKept();
      return await collector.collect();
    });
    return toView(dryRun, found, await collector.kept());
  });
};

type Kept = Awaited<ReturnType<Services['collector']['kept']>>;

function toView(dryRun: boolean, found: readonly Collected[], { entries, bytes, mostBytes }: Kept): GcView {
  return {
    dry_run: dryRun,
    items: found.slice(0, MOST_ITEMS).map(({ fault = null, ...item }) => ({ ...item, fault })),
    count: found.length,
    bytes: found.reduce((sum, { bytes, fault }) => (fault ? sum : sum + bytes), 0),
    segment_cache: { entries, bytes, limit_bytes: mostBytes },
    failed: found.filter(({ fault }) => fault !== undefined).length,
  };
}
