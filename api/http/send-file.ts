import type { FastifyReply, FastifyRequest } from 'fastify';
import { dispositionOf } from '../renders/files.ts';
import type { RenderFile } from '../renders/renders.ts';
import { parseByteRange } from './byte-range.ts';
import { namesTag } from './etag.ts';

/**
 * Sends the client to the file's address in the store, where the farm does that; else as `sendFile`. Whoever asks for
 * headers alone gets them here: an address is for reading.
 */
export async function sendFileOrAddress(
  file: RenderFile,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const address = request.method === 'GET' ? await file.address() : undefined;
  if (address === undefined) return sendFile(file, request, reply);
  // It is good for a while only, and for whoever has it.
  return reply.header('cache-control', 'no-store').redirect(address, 307);
}

/** Streams a finished file, whole or the range that was asked for. It never changes, so its name and size tag it. */
export function sendFile(
  file: Pick<RenderFile, 'key' | 'contentType' | 'fileName' | 'sizeBytes' | 'read'>,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const { key, contentType, sizeBytes, read } = file;
  const etag = `"${key.replaceAll('/', '-')}-${sizeBytes}"`;
  reply
    .header('accept-ranges', 'bytes')
    .header('etag', etag)
    .header('content-disposition', dispositionOf(file))
    .type(contentType);
  if (namesTag(request.headers['if-none-match'], etag)) return reply.status(304).send();
  const ifRange = request.headers['if-range'];
  const wantsRange = ifRange === undefined || ifRange === etag;
  const range = wantsRange ? rangeOf(request, reply, sizeBytes) : undefined;
  if (range) {
    reply.status(206).header('content-range', `bytes ${range.start}-${range.end}/${sizeBytes}`);
    reply.header('content-length', range.end - range.start + 1);
  } else {
    reply.header('content-length', sizeBytes);
  }
  return reply.send(read(range));
}

function rangeOf(request: FastifyRequest, reply: FastifyReply, sizeBytes: number) {
  try {
    return parseByteRange(request.headers.range, sizeBytes);
  } catch (error) {
    reply.header('content-range', `bytes */${sizeBytes}`).removeHeader('content-disposition').removeHeader('etag');
    throw error;
  }
}
