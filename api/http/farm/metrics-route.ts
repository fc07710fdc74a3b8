import type { FastifyInstance } from 'fastify';
import { METRICS_TYPE } from '../../metrics/exposition.ts';
import type { Services } from '../../services.ts';

/** `/metrics`: the whole farm, in the form of Prometheus, whichever front end is asked. */
export async function metricsRoute(app: FastifyInstance, { metrics }: Services): Promise<void> {
  const config = { access: 'operate', opensWithMetricsToken: true } as const;
  app.get('/metrics', { schema: { hide: true }, config }, async (_request, reply) =>
    reply
      .type(METRICS_TYPE)
      .header('cache-control', 'no-store')
      .send(await metrics.page()),
  );
}
