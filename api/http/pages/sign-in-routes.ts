import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { FarmError } from '../../../shared/errors/farm-error.ts';
import type { Services } from '../../services.ts';
import { clearSessionCookie, sessionToken, setSessionCookie } from './session-cookie.ts';
import { pathOnFarm, SIGN_IN, SIGN_IN_POLICY, SIGN_OUT, signedInPage, signInPage } from './sign-in-page.ts';

/** A key, its name and where to go, in a form. */
const FORM_BYTES = 4096;
/** What these routes answer is for this browser alone, and not in its history either. */
const NOT_KEPT = { 'cache-control': 'no-store', 'content-security-policy': SIGN_IN_POLICY };
const OPEN = { schema: { hide: true }, config: { access: 'open' }, bodyLimit: FORM_BYTES } as const;

/** Signs browsers in and out. Tried keys are braked as everywhere. */
export async function signInRoutes(app: FastifyInstance, { access, sessions, auditLog }: Services): Promise<void> {
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
    done(null, Object.fromEntries(new URLSearchParams(String(body)))),
  );
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers(NOT_KEPT);
  });

  app.get<{ Querystring: { to?: unknown } }>(SIGN_IN, OPEN, async (request, reply) => {
    const to = pathOnFarm(request.query.to);
    if (access.isOpen) return reply.redirect(to, 303);
    const caller = await sessions.find(sessionToken(request) ?? '');
    return html(reply, caller ? signedInPage(caller.keyName ?? '', caller.role) : signInPage(to));
  });

  app.post<{ Body?: { key?: unknown; to?: unknown } }>(SIGN_IN, OPEN, async (request, reply) => {
    const to = pathOnFarm(request.body?.to);
    if (access.isOpen) return reply.redirect(to, 303);
    const key = String(request.body?.key ?? '').trim();
    try {
      const caller = access.enter({ key, address: request.ip, route: `POST ${SIGN_IN}`, needs: 'render' });
      auditLog.note('session.open', { key: caller.keyName, role: caller.role });
      request.log.info({ key: caller.keyName, address: request.ip }, 'a browser has signed in');
    } catch (thrown) {
      return refuse(reply, to, FarmError.from(thrown));
    }
    await closeSession(request);
    setSessionCookie(request, reply, await sessions.open(key));
    return reply.redirect(to, 303);
  });

  app.post(SIGN_OUT, OPEN, async (request, reply) => {
    await closeSession(request);
    auditLog.note('session.close', {});
    clearSessionCookie(request, reply);
    return reply.redirect(SIGN_IN, 303);
  });

  async function closeSession(request: FastifyRequest): Promise<void> {
    await sessions.close(sessionToken(request) ?? '');
  }
}

function refuse(reply: FastifyReply, to: string, error: FarmError): FastifyReply {
  if (error.retryAfterSeconds !== undefined) reply.header('retry-after', error.retryAfterSeconds);
  return html(reply.status(error.httpStatus), signInPage(to, `${error.message}.`));
}

function html(reply: FastifyReply, text: string): FastifyReply {
  return reply.type('text/html; charset=utf-8').send(text);
}
