import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { hashApiKey } from '../../shared/api-keys.ts';
import { startApi } from '../support/api.ts';

const KEY = 'a-key-of-this-test';
const { app } = await startApi();
const closed = await startApi({ auth: { keys: [{ name: 'ann', sha256: hashApiKey(KEY), role: 'render' }] } });

interface Described {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}
interface Operation {
  readonly operationId: string;
  readonly description?: string;
  readonly requestBody?: { readonly content: object };
  readonly 'x-codeSamples'?: readonly { readonly source: string }[];
}

describe('the description of the API', () => {
  it('is valid OpenAPI 3.1, with an example for each operation', async () => {
    const document = (await app.inject('/openapi.json')).json<Described>();
    assert.match(document.openapi, /^3\.1\./);
    const { valid, errors } = await new Validator().validate({ ...document });
    assert.ok(valid, JSON.stringify(errors));
    for (const operation of Object.values(document.paths).flatMap((methods) => Object.values(methods))) {
      const source = operation['x-codeSamples']?.[0]?.source ?? '';
      assert.match(source, /^curl /, `${operation.operationId} has no example in api/http/api-examples.ts`);
      assert.ok(operation.description?.includes(source));
    }
    const types = (path: string) => Object.keys(document.paths[path]?.post?.requestBody?.content ?? {});
    assert.deepEqual(types('/v1/renders'), ['multipart/form-data']);
    assert.deepEqual(types('/v1/renders/batch'), ['multipart/form-data', 'application/json']);
  });

  it('is a page, with nothing from another host', async () => {
    const page = await app.inject('/docs');
    assert.match(page.headers['content-type'] as string, /text\/html/);
    const policy = String(page.headers['content-security-policy']);
    assert.match(policy, /default-src 'none'.*script-src 'self';/);
    assert.doesNotMatch(policy, /https?:/);
    const parts = [...page.payload.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address = '']) => address);
    assert.ok(parts.length > 3);
    for (const part of parts) {
      const { pathname, host } = new URL(part, 'http://farm.test/docs');
      assert.equal(host, 'farm.test');
      const answer = await app.inject(pathname);
      assert.equal(answer.statusCode, 200, pathname);
      if (pathname.endsWith('initializer.js')) assert.match(answer.payload, /"url":"\/openapi\.json"/);
    }
  });

  it('is for those who have a key, where there are keys', async () => {
    const sent = await closed.app.inject({ url: '/docs', headers: { accept: 'text/html' } });
    assert.deepEqual([sent.statusCode, sent.headers.location], [303, '/dashboard/sign-in?to=%2Fdocs']);
    assert.equal((await closed.app.inject('/docs/static/index.css')).statusCode, 401);
    const keyed = { authorization: `Bearer ${KEY}` };
    assert.equal((await closed.app.inject({ url: '/docs', headers: keyed })).statusCode, 200);
  });
});
