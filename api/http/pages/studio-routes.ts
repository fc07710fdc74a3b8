import { createHash } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { bucketOrigin } from '../../../shared/s3/bucket-settings.ts';
import type { Services } from '../../services.ts';
import { namesTag } from '../etag.ts';
import { policy } from '../security-headers.ts';

/**
 * The studio: the page at `/` and its files. Browsers get its TypeScript with the types taken out, as Node runs it, so
 * there is nothing to build. All of it is read once, at the start of the front end; the types are taken out when a browser
 * asks.
 */

const STUDIO = fileURLToPath(new URL('../../../studio', import.meta.url));
const SHARED = fileURLToPath(new URL('../../../shared', import.meta.url));
/** Of `shared/`: what the studio's modules import beside types. */
const SHARED_FILES = ['renders/outputs.ts'];
const LIT_HTML = path.dirname(fileURLToPath(import.meta.resolve('lit-html')));
/** Of lit-html: what its main module is made of. */
const VENDOR_FILES = ['lit-html.js'];
const TYPES: Readonly<Record<string, string>> = {
  '.ts': 'text/javascript; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

interface StudioFile {
  readonly content: string;
  readonly contentType: string;
  readonly etag: string;
}

/** What a program that speaks to `/` gets: where things are. */
const INDEX = {
  name: 'Lipsync Farm',
  renders: '/v1/renders',
  models: '/v1/models',
  dashboard: '/dashboard',
  openapi: '/openapi.json',
};

export async function studioRoutes(
  app: FastifyInstance,
  { config: { storage } }: Pick<Services, 'config'>,
): Promise<void> {
  const page = fileOf(readFileSync(path.join(STUDIO, 'index.html'), 'utf8'), 'text/html; charset=utf-8');
  const pagePolicy = policyOf(page.content, storage.redirect ? ` ${bucketOrigin(storage.s3)}` : '');
  // There is nothing of the farm's in the page either: it asks the API, and sends who may not to where one signs in,
  // so that the part of its address after #, which no server sees, is not lost.
  app.get('/', { schema: { hide: true }, config: { access: 'open' } }, async (request, reply) => {
    reply.header('vary', 'Accept');
    if (!(request.headers.accept ?? '').includes('text/html')) return INDEX;
    return send(page, request, reply.header('content-security-policy', pagePolicy));
  });
  for (const [url, file] of studioFiles()) {
    // There is nothing of the farm's in them, and a browser asks for them before it has signed in.
    app.get(url, { schema: { hide: true }, config: { access: 'open' } }, async (request, reply) =>
      send(file(), request, reply),
    );
  }
}

function send({ content, contentType, etag }: StudioFile, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.header('etag', etag).header('cache-control', 'no-cache').type(contentType);
  return namesTag(request.headers['if-none-match'], etag) ? reply.status(304).send() : reply.send(content);
}

/** Every file of the studio by its address, the type-free form of its modules included. */
function studioFiles(): Map<string, () => StudioFile> {
  const own = globSync('**/*.{ts,css,svg}', { cwd: STUDIO, exclude: ['**/*.d.ts'] });
  const files = own.map((name) => [`/studio/${name}`, path.join(STUDIO, name)] as const);
  const vendor = VENDOR_FILES.map((name) => [`/studio/vendor/lit-html/${name}`, path.join(LIT_HTML, name)] as const);
  const shared = SHARED_FILES.map((name) => [`/shared/${name}`, path.join(SHARED, name)] as const);
  return new Map([...files, ...shared, ...vendor].map(([url, source]) => [url, readStudioFile(source)]));
}

/** Reads a file now, and makes of it what browsers get when the first one asks. */
function readStudioFile(source: string): () => StudioFile {
  const extension = path.extname(source);
  const text = readFileSync(source, 'utf8');
  let file: StudioFile | undefined;
  return () => {
    file ??= fileOf(extension === '.ts' ? withoutTypes(text) : text, TYPES[extension] ?? '');
    return file;
  };
}

/** Node runs the farm's own modules in the same way, but warns when it is asked to do it by name. */
function withoutTypes(text: string): string {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return stripTypeScriptTypes(text);
  } finally {
    process.emitWarning = emitWarning;
  }
}

function fileOf(content: string, contentType: string): StudioFile {
  return { content, contentType, etag: `"${createHash('sha256').update(content).digest('base64url').slice(0, 22)}"` };
}

/**
 * The page may load what is the farm's own, and play what the user has chosen or recorded.
 * @param store where the farm sends it for results, after a space; or empty.
 */
function policyOf(page: string, store: string): string {
  const importMap = /<script type="importmap">(.*?)<\/script>/s.exec(page)?.[1] ?? '';
  const hash = createHash('sha256').update(importMap).digest('base64');
  return policy({
    ...{ 'script-src': `'self' 'sha256-${hash}'`, 'style-src': "'self'", 'img-src': `'self' data: blob:${store}` },
    ...{ 'media-src': `'self' blob:${store}`, 'connect-src': `'self'${store}`, 'form-action': "'self'" },
  });
}
