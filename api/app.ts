import multipart from '@fastify/multipart';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Config } from '../shared/config/load.ts';
import type { Logger } from '../shared/process/log.ts';
import { MINUTE_MS } from '../shared/units.ts';
import { requireAccess } from './http/auth.ts';
import { answerConnectionFault, ignoreExpectations, requireHost } from './http/connection-faults.ts';
import { refuseOtherOrigins } from './http/cross-site.ts';
import { answerError } from './http/errors.ts';
import { eventRoutes } from './http/events/event-routes.ts';
import { webhookRoutes } from './http/events/webhook-routes.ts';
import { gcRoutes } from './http/farm/gc-routes.ts';
import { gpuRoutes } from './http/farm/gpu-routes.ts';
import { healthRoutes } from './http/farm/health-routes.ts';
import { hostRoutes } from './http/farm/host-routes.ts';
import { metricsRoute } from './http/farm/metrics-route.ts';
import { modelRoutes } from './http/farm/model-routes.ts';
import { queueRoutes } from './http/farm/queue-routes.ts';
import { requireKnownHost } from './http/known-hosts.ts';
import { answerUnrouted } from './http/not-found.ts';
import { describeApi } from './http/openapi.ts';
import { avatarPictureRoutes } from './http/pages/avatar-picture-routes.ts';
import { mountDashboard } from './http/pages/dashboard.ts';
import { mountDocs } from './http/pages/docs-page.ts';
import { sessionRoute } from './http/pages/session-route.ts';
import { signInRoutes } from './http/pages/sign-in-routes.ts';
import { studioRoutes } from './http/pages/studio-routes.ts';
import { batchRoute } from './http/renders/batch-route.ts';
import { estimateRoute } from './http/renders/estimate-route.ts';
import { listRenders } from './http/renders/render-list-route.ts';
import { renderOrders } from './http/renders/render-orders.ts';
import { renderRoutes } from './http/renders/render-routes.ts';
import { formLimits } from './http/renders/render-upload.ts';
import { uploadRoutes } from './http/renders/upload-routes.ts';
import { followRequests } from './http/request-hooks.ts';
import { SECURITY_HEADERS, setSecurityHeaders } from './http/security-headers.ts';
import { opensSocket } from './http/sockets/socket-protocol.ts';
import { socketRoutes } from './http/sockets/socket-routes.ts';
import { SOCKET_TIMES } from './http/sockets/web-sockets.ts';
import { REQUEST_ID, requestIdOf } from './request-context.ts';
import type { Services } from './services.ts';

const REQUEST_TIMEOUT_MS = 15 * MINUTE_MS;
const CONNECTION_TIMEOUT_MS = MINUTE_MS;
/** As many bytes as the address of a request may take. */
const MAX_PARAM_LENGTH = 16 * 1024;

/** Composes the HTTP server; does not listen. */
export async function buildApp(services: Services, log: Logger, times = SOCKET_TIMES): Promise<FastifyInstance> {
  const { access, config } = services;
  const app = newServer(log, config.http);
  app.server.maxConnections = config.limits.max_connections;
  answerUnrouted(app);
  refuseUnknownParameters(app);
  followRequests(app, services);
  app.addHook('onRequest', setSecurityHeaders);
  app.addHook('onRequest', requireHost);
  app.addHook('onRequest', requireKnownHost(config.http));
  app.addHook('onRequest', refuseOtherOrigins(config.http));
  app.addHook('onRequest', requireAccess(services));
  await app.register(multipart, { limits: formLimits(config.limits) });
  await describeApi(app, access);
  await app.register(healthRoutes, services);
  await app.register(modelRoutes, services);
  await app.register(avatarPictureRoutes, services);
  await app.register(renderRoutes, services);
  await app.register(listRenders, services);
  await app.register(estimateRoute, services);
  await app.register(uploadRoutes, services);
  await app.register(batchRoute, services);
  await app.register(renderOrders, services);
  await app.register(eventRoutes, services);
  await app.register(socketRoutes, { ...services, times });
  await app.register(webhookRoutes, services);
  await app.register(gpuRoutes, services);
  await app.register(hostRoutes, services);
  await app.register(queueRoutes, services);
  await app.register(signInRoutes, services);
  await app.register(sessionRoute);
  await app.register(gcRoutes, services);
  await app.register(metricsRoute, services);
  await mountDocs(app);
  await mountDashboard(app, services);
  await app.register(studioRoutes, services);
  return app;
}

/** A server without routes, which answers every fault in the form of the catalogue. */
function newServer(log: Logger, { trusted_proxies }: Config['http']): FastifyInstance {
  const app = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request' }),
    genReqId: ({ headers }) => requestIdOf([headers[REQUEST_ID]].flat()[0]),
    // Long enough for a large upload over a slow line.
    requestTimeout: REQUEST_TIMEOUT_MS,
    // What these say of a request's sender is believed: X-Forwarded-For and X-Forwarded-Proto.
    trustProxy: trusted_proxies.length > 0 && trusted_proxies,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    // Longer than any valid part of a path: a part that is too long is refused by its own schema.
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    // Node would answer without a body; requireHost does with one.
    http: { requireHostHeader: false, shouldUpgradeCallback: opensSocket },
    frameworkErrors: (error, request, reply) => answerError(error, request, reply.headers(SECURITY_HEADERS)),
    clientErrorHandler: answerConnectionFault,
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler(answerError);
  // No route reads text: with Fastify's reader it would be refused as an object that is none.
  app.removeContentTypeParser('text/plain');
  ignoreExpectations(app.server);
  return app;
}

/** A parameter that a route does not know would be without effect in silence. Call it before the routes are registered. */
function refuseUnknownParameters(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    if (route.url.startsWith('/v1/')) route.schema = { querystring: z.strictObject({}), ...route.schema };
  });
}
