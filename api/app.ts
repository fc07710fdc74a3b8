import multipart from '@fastify/multipart';
import swagger from '@fastify/swagger';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import { jsonSchemaTransform, serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import type { Logger } from '../shared/process/log.ts';
import { MB, MINUTE_MS } from '../shared/units.ts';
import { requireApiKey } from './http/auth.ts';
import { mountDashboard } from './http/dashboard.ts';
import { answerError, answerNotFound } from './http/errors.ts';
import { gpuRoutes } from './http/gpu-routes.ts';
import { healthRoutes } from './http/health-routes.ts';
import { modelRoutes } from './http/model-routes.ts';
import { renderRoutes } from './http/render-routes.ts';
import type { Services } from './services.ts';

const REQUEST_TIMEOUT_MS = 15 * MINUTE_MS;
const CONNECTION_TIMEOUT_MS = MINUTE_MS;
const MAX_FIELD_BYTES = 4096;

/** Composes the HTTP server; does not listen. */
export async function buildApp(services: Services, log: Logger): Promise<FastifyInstance> {
  const { config } = services;
  const app = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    // Long enough for a large upload over a slow line.
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler(answerError);
  app.setNotFoundHandler(answerNotFound);
  app.addHook('onRequest', requireApiKey(config.auth.api_keys));
  // The store counts the bytes itself, to refuse with the farm's own error; this is the second line.
  const fileSize = (config.limits.max_upload_mb + 1) * MB;
  await app.register(multipart, { limits: { fileSize, files: 1, fields: 16, parts: 17, fieldSize: MAX_FIELD_BYTES } });
  await app.register(swagger, {
    openapi: { info: { title: 'Lipsync Farm', version: '1', description: 'Audio in, talking-head video out.' } },
    transform: jsonSchemaTransform,
  });
  await app.register(healthRoutes, services);
  await app.register(modelRoutes, services);
  await app.register(renderRoutes, services);
  await app.register(gpuRoutes, services);
  await mountDashboard(app, services);
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  app.get('/', { schema: { hide: true } }, async () => ({
    name: 'Lipsync Farm',
    renders: '/v1/renders',
    models: '/v1/models',
    dashboard: '/dashboard',
    openapi: '/openapi.json',
  }));
  return app;
}
