import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { policy } from '../security-headers.ts';

const BASE_PATH = '/docs';

/** It styles elements by attributes, and has its pictures in its style sheet. Nothing comes from another host. */
const PAGE_POLICY = policy({
  ...{ 'script-src': "'self'", 'style-src': "'self' 'unsafe-inline'", 'img-src': "'self' data:", 'font-src': "'self'" },
  ...{ 'connect-src': "'self'" },
});

/** The page at /docs: the API's description, to read and to try, by Swagger UI. Call it after describeApi. */
export async function mountDocs(app: FastifyInstance): Promise<void> {
  await app.register(async (pages) => {
    pages.addHook('onRoute', (route) => {
      route.config = { ...route.config, access: 'render', isPage: true };
    });
    await pages.register(swaggerUi, {
      routePrefix: BASE_PATH,
      staticCSP: PAGE_POLICY,
      theme: { title: 'Lipsync Farm: HTTP API' },
      // The validator would send the description to another host.
      uiConfig: { url: '/openapi.json', validatorUrl: null, tryItOutEnabled: true, displayRequestDuration: true },
    });
  });
}
