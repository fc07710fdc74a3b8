import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { HOST_LABEL } from '../../../shared/config/host-section.ts';
import { hostListSchema, hostViewSchema } from '../../../shared/views/host-view.ts';
import type { HostOrder } from '../../../shared/workers/host-drains.ts';
import type { Services } from '../../services.ts';
import { failures, nothing } from '../openapi.ts';

type App = Parameters<FastifyPluginAsyncZod<Services>>[0];

const tags = ['hosts'];
const config = { access: 'operate' } as const;
const params = z.object({ name: z.string().regex(HOST_LABEL, 'expected the name of a host') });

/** /v1/hosts: what the machines of the farm are and do; take one out of service, put it back, forget it. */
export const hostRoutes: FastifyPluginAsyncZod<Services> = async (app, services) => {
  const schema = {
    ...{ operationId: 'listHosts', tags, summary: 'Hosts: workers, GPUs, tags, clocks, versions, hashes of models' },
    response: { 200: hostListSchema, ...failures('forbidden') },
  };
  app.get('/v1/hosts', { schema, config }, async () => await services.hosts.list());
  giveOrder(
    app,
    services,
    'drain',
    'Take a host out of service: all its workers finish what runs, and take nothing new',
  );
  giveOrder(app, services, 'undrain', 'Put a host back into service');
  forget(app, services);
};

function giveOrder(app: App, { hosts }: Services, order: HostOrder, summary: string): void {
  const schema = {
    ...{ operationId: `${order}Host`, tags, summary, params },
    response: { 200: hostViewSchema, ...failures('farm_host_unknown', 'forbidden', 'outcome_unknown') },
  };
  app.post(`/v1/hosts/:name/${order}`, { schema, config }, async ({ params: { name } }) => {
    return await hosts.order(name, order);
  });
}

function forget(app: App, { hosts }: Services): void {
  const schema = {
    ...{ operationId: 'forgetHost', tags, summary: 'Free the numbers of a host that is gone for good', params },
    response: {
      204: nothing('Forgotten'),
      ...failures('farm_host_unknown', 'farm_host_in_use', 'forbidden', 'outcome_unknown'),
    },
  };
  app.delete('/v1/hosts/:name', { schema, config }, async ({ params: { name } }, reply) => {
    await hosts.forget(name);
    return reply.status(204).send();
  });
}
