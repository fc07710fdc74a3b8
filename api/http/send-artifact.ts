import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ArtifactStore } from '../../shared/artifacts.ts';
import { FarmError } from '../../shared/errors.ts';
import { parseByteRange } from './byte-range.ts';

export interface ArtifactAnswer {
  readonly key: string;
  readonly contentType: string;
  /** Name under which a browser saves it. */
  readonly fileName: string;
}

/** Streams a finished file, whole or the range that was asked for. It never changes, so its name and size tag it. */
export async function sendArtifact(
  store: ArtifactStore,
  { key, contentType, fileName }: ArtifactAnswer,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const sizeBytes = await store.size(key);
  if (sizeBytes === undefined) throw new FarmError('storage_failed', `${key} is not in the store of this server`);
  const etag = `"${key.replaceAll('/', '-')}-${sizeBytes}"`;
  reply
    .header('accept-ranges', 'bytes')
    .header('etag', etag)
    .header('content-disposition', `inline; filename="${fileName}"`)
    .type(contentType);
  if (request.headers['if-none-match'] === etag) return reply.status(304).send();
  const ifRange = request.headers['if-range'];
  const wantsRange = ifRange === undefined || ifRange === etag;
  const range = wantsRange ? rangeOf(request, reply, sizeBytes) : undefined;
  if (range) {
    reply.status(206).header('content-range', `bytes ${range.start}-${range.end}/${sizeBytes}`);
    reply.header('content-length', range.end - range.start + 1);
  } else {
    reply.header('content-length', sizeBytes);
  }
  return reply.send(store.read(key, range));
}

function rangeOf(request: FastifyRequest, reply: FastifyReply, sizeBytes: number) {
  try {
    return parseByteRange(request.headers.range, sizeBytes);
  } catch (error) {
    reply.header('content-range', `bytes */${sizeBytes}`).removeHeader('content-disposition').removeHeader('etag');
    throw error;
  }
}
