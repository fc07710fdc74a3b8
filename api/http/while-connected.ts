import type { FastifyReply } from 'fastify';
import { FarmError } from '../../shared/errors/farm-error.ts';

/** Aborted when the caller goes away. Fastify's own signal is aborted as soon as the body of a request has been read. */
export function whileConnected({ raw }: Pick<FastifyReply, 'raw'>): AbortSignal {
  const gone = new AbortController();
  const leave = () => gone.abort(new FarmError('request_cancelled', 'The client went away'));
  raw.once('close', leave);
  if (raw.closed) leave();
  return gone.signal;
}
