import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, get, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import { type AddressInfo, connect as connectTcp, createServer } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { type ClientDuplexStream, credentials, status } from '@grpc/grpc-js';
import { Webhook } from 'standardwebhooks';
import { parse } from 'yaml';
import type { Open, StreamRequest } from '../../../api/grpc/messages/farm.ts';
import { freePort } from '../../../cli/supervisor/private-redis.ts';
import { NodeFarmClient } from '../../../client/node/farm-client.ts';
import { hashApiKey } from '../../../shared/api-keys.ts';
import { failureOf, farmCode, type Message, MONOLITHIC, TestClient } from '../../grpc/clients.ts';
import { RawCall } from '../../grpc/raw-calls.ts';
import { heavyNetwork, moodyNetwork } from '../../onnx/tiny-onnx.ts';
import { OtlpReceiver } from '../../support/otlp-receiver.ts';
import { SseClient } from '../../support/sse.ts';
import { until } from '../../support/until.ts';
import { CancelledRenders } from '../cancelled-renders.ts';
import type { KeyFarm } from '../key-farm.ts';
import type { KeyTable } from '../key-table.ts';
import { countingNetwork, hangingNetwork, slowNetwork, writeParts } from '../pictures.ts';
import { refusesBytes } from '../stored-files.ts';

const run = promisify(execFile);
const WEBHOOK_SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const PLAIN = { model_path: 'crop.onnx', background_dir: 'blue', crop_rects_path: 'rects.json' } as const;
const API_KEY = 'a-key-of-this-test';
const STUDIO_KEY = 'a-key-of-the-studio';
const TALKER_KEY = 'a-key-for-one-stream';
const FRAMER_KEY = 'a-key-for-few-frames';
const KEEPER_KEY = 'a-key-for-few-bytes';
const PRODUCT = 'https://product.test';
const METRICS_TOKEN = 'a-token-for-prometheus';
/** A trace of somebody else that is kept, and what the farm is told of it. */
const OTHERS_TRACE = '0af7651916cd43dd8448eb211c80319c';
const OTHERS_SPAN = 'b7ad6b7169203331';
const MB = 2 ** 20;
const LIMIT_MB = 51.2;
const CONCURRENT_STREAMS = 7;
const BATCH_WAIT_MS = 100;
const ATTEMPTS = 2;
const FAULT_MINUTES = 0.03;
/** Longer than anything else that is computed here takes from one sign of progress to the next. */
const STUCK_SECONDS = 10;
/** Of the two seconds for an idle model no more than this should pass until the farm has noticed. */
const IDLE_MINUTES = 0.03;
const PING_WITHIN_MS = 20_000;

interface Bench {
  readonly farm: KeyFarm;
  readonly tls: Tls;
  /** Bytes that workers have sent to the address that is advertised. */
  readonly framesCame: () => number;
  /** Headers and body of what came to the default webhook, which answers 500. */
  readonly hooks: readonly { headers: IncomingHttpHeaders; body: string; atMs: number }[];
  readonly metricsAddress: string;
  readonly collector: OtlpReceiver;
}

interface Tls {
  readonly serverCertificate: Buffer;
  readonly clientKey: Buffer;
  readonly clientCertificate: Buffer;
}

async function start(farm: KeyFarm): Promise<Bench> {
  const root = path.join(farm.folder, 'avatars');
  await writeParts(root);
  await writeFile(path.join(root, 'heavy.onnx'), heavyNetwork(64 * MB));
  await writeFile(path.join(root, 'slow.onnx'), slowNetwork());
  await writeFile(path.join(root, 'counting.onnx'), countingNetwork());
  await writeFile(path.join(root, 'hanging.onnx'), hangingNetwork());
  await writeFile(path.join(root, 'moody.onnx'), moodyNetwork(3));
  const tls = await makeCertificates(farm.folder);
  farm.credentials = credentials.createSsl(tls.serverCertificate, tls.clientKey, tls.clientCertificate);
  const { listen, advertised, framesCame } = await forwardFrames(farm);
  const metricsAddress = `127.0.0.1:${await freePort()}`;
  const collector = await OtlpReceiver.start();
  farm.others.defer(() => collector.stop());
  const { hookPort, hooks } = await receiveWebhooks(farm);
  await farm.up({
    server: { max_message_size_mb: 1, queue_size: 2 },
    gpus: { memory_gb_per_gpu: LIMIT_MB / 1024 },
    capacity: { idle_timeout_minutes: IDLE_MINUTES },
    onnx: { execution_providers: ['cpu'], intra_op_threads: 1 },
    logging: {
      ...{ buffered_logging: true, auto_flush: false, flush_interval_ms: 20 },
      ...{ access_log: 'logs/access.log', audit_log: 'logs/audit.log' },
    },
    metrics: { token: METRICS_TOKEN, listen: metricsAddress },
    tracing: { enabled: true, endpoint: collector.url, sample_ratio: 0 },
    grpc: {
      tls: { cert_path: 'server.crt', key_path: 'server.key', ca_path: 'client.crt' },
      max_concurrent_streams: CONCURRENT_STREAMS,
      keepalive_seconds: 1,
    },
    auth: {
      api_keys: ['another-key', API_KEY],
      keys: [
        { name: 'studio', sha256: hashApiKey(STUDIO_KEY), role: 'render', requests_per_minute: 5 },
        { name: 'talker', sha256: hashApiKey(TALKER_KEY), role: 'render', max_streams: 1 },
        { name: 'framer', sha256: hashApiKey(FRAMER_KEY), role: 'render', max_unfinished_frames: 40 },
        { name: 'keeper', sha256: hashApiKey(KEEPER_KEY), role: 'render', storage_quota_gb: 0.0005 },
      ],
    },
    dashboard: { read_only: false },
    http: { allowed_hosts: ['farm.test'], allowed_origins: [PRODUCT], trusted_proxies: ['127.0.0.0/8'] },
    inputs: { url_hosts: ['127.0.0.1'], url_networks: ['127.0.0.1/32'], url_timeout_seconds: 4 },
    limits: {
      max_upload_mb: 1,
      max_audio_minutes: 0.05,
      max_video_minutes: 0.05,
      drain_seconds: 1,
      memory_budget_mb: 8,
      max_connections: 50,
      max_event_streams: 2,
      max_video_previews: 1,
      stuck_seconds: STUCK_SECONDS,
    },
    live: {
      max_streams_per_gpu: 1,
      idle_stream_seconds: 2,
      batch_wait_ms: BATCH_WAIT_MS,
      frame_listen: listen,
      frame_advertise: advertised,
    },
    // Each frame is a sign of progress then: the slow model's come in time on a busy machine, too.
    render: { attempts: ATTEMPTS, farm_fault_minutes: FAULT_MINUTES, batch_frames: 1 },
    webhooks: {
      default_url: `http://127.0.0.1:${hookPort}/default`,
      default_events: ['render.cancelled', 'render.removed'],
      secrets: [WEBHOOK_SECRET],
      allow_private_addresses: true,
      allowed_addresses: ['169.254.1.1'],
      attempts: 2,
      first_wait_seconds: 1,
    },
    models_root: 'avatars',
    models: {
      ann: PLAIN,
      heavy: { ...PLAIN, model_path: 'heavy.onnx' },
      slow: { ...PLAIN, model_path: 'slow.onnx' },
      faulty: { ...PLAIN, model_path: 'moody.onnx' },
      counting: { ...PLAIN, model_path: 'counting.onnx' },
      hanging: { ...PLAIN, model_path: 'hanging.onnx' },
    },
  });
  return { farm, tls, framesCame, hooks, metricsAddress, collector };
}

/** A receiver of webhooks that refuses what it gets. */
async function receiveWebhooks(farm: KeyFarm) {
  const hooks: { headers: IncomingHttpHeaders; body: string; atMs: number }[] = [];
  const server = createHttpServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    hooks.push({ headers: request.headers, body, atMs: performance.now() });
    response.writeHead(500).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  farm.others.defer(() => void server.close());
  return { hooks, hookPort: (server.address() as AddressInfo).port };
}

/** Where the front end is to listen for frames, and an address that leads there and counts what comes. */
async function forwardFrames(farm: KeyFarm) {
  const port = await freePort();
  let bytes = 0;
  const server = createServer((worker) => {
    const front = connectTcp(port, '127.0.0.1');
    worker.on('data', (chunk) => {
      bytes += chunk.length;
    });
    for (const end of [worker, front]) end.on('error', () => {});
    worker.pipe(front).pipe(worker);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  farm.others.defer(async () => await new Promise<void>((closed) => server.close(() => closed())));
  const { port: entrance } = server.address() as AddressInfo;
  return { listen: `127.0.0.1:${port}`, advertised: `localhost:${entrance}`, framesCame: () => bytes };
}

/** A certificate for the server and one that clients show; each is its own authority. */
async function makeCertificates(folder: string): Promise<Tls> {
  const make = async (name: string) => {
    const base = path.join(folder, name);
    await run('openssl', [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost'],
      ...['-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost', '-keyout', `${base}.key`, '-out', `${base}.crt`],
    ]);
    return { key: await readFile(`${base}.key`), certificate: await readFile(`${base}.crt`) };
  };
  const [server, client] = await Promise.all([make('server'), make('client')]);
  return { serverCertificate: server.certificate, clientKey: client.key, clientCertificate: client.certificate };
}

/** Asks the farm's front page with headers that `fetch` would not send. */
async function ask({ url }: KeyFarm, headers: Readonly<Record<string, string>>): Promise<IncomingMessage> {
  const [answer] = await once(
    get(`${url}/`, { headers: { authorization: `Bearer ${API_KEY}`, ...headers } }),
    'response',
  );
  return answer.resume();
}

const KEYED = { key: API_KEY };

/** A connection of HTTP/2 to the gRPC server, and nothing on it. */
async function bareConnection({ farm, tls }: Bench): Promise<ClientHttp2Session> {
  const { serverCertificate: ca, clientKey: key, clientCertificate: cert } = tls;
  const session = connect(`https://${farm.grpcAddress}`, { ca, key, cert, servername: 'localhost' });
  await once(session, 'remoteSettings');
  return session;
}

/** Opens a stream and resolves once the farm has opened it; rejects with what it says instead. */
async function openStream({ grpc }: KeyFarm, key = API_KEY): Promise<ClientDuplexStream<StreamRequest, Message>> {
  const stream = grpc.stream({ key });
  const open: Partial<Open> = { model_id: 'ann', sample_rate: 16_000, sample_format: 'S16LE', output: 'RAW' };
  stream.write({ open: open as Open });
  await once(stream, 'data');
  // From here on somebody has to hear of its end.
  stream.on('error', () => {});
  stream.resume();
  return stream;
}

/** The key "framer" has one render of 50 frames, more than it may have; that one is taken all the same. */
async function refusesFrames(farm: KeyFarm): Promise<void> {
  const framer = new NodeFarmClient(farm.url, FRAMER_KEY);
  const speech = await farm.speech(2);
  await farm.withoutGpus([0], async () => {
    await using taken = new CancelledRenders(farm);
    const id = await taken.submit(speech, framer);
    await until('it is planned', async () => (await framer.get(id)).status === 'rendering');
    await assert.rejects(framer.submit(speech, { modelId: 'ann' }), {
      code: 'key_limit_reached',
      message: /^50 frames of the key "framer" are unfinished/,
    });
    await taken.submit(speech);
    await taken.cancel();
    await taken.submit(speech, framer);
  });
}

/** What a render has waited for, from now until it has ended. */
async function waitsOf({ client }: KeyFarm, renderId: string): Promise<Set<string>> {
  const codes = new Set<string>();
  for await (const { waiting } of client.watch(renderId)) if (waiting) codes.add(waiting.code);
  return codes;
}

async function isLoaded({ client }: KeyFarm, modelId: string): Promise<boolean> {
  return (await client.models()).models.some(({ id, loaded_on }) => id === modelId && loaded_on.length > 0);
}

const logged = ({ farm }: Bench, text: string) => farm.output.filter((line) => line.includes(text));

export const limitKeys: KeyTable<Bench> = {
  title: 'keys of limits, access and the log',
  hosts: { apiKey: API_KEY },
  start,
  checks: {
    'metrics.token': async ({ farm }) => {
      const scrape = async (path: string, key: string) =>
        (await fetch(`${farm.url}${path}`, { headers: { authorization: `Bearer ${key}` } })).status;
      assert.equal(await scrape('/metrics', METRICS_TOKEN), 200);
      assert.equal(await scrape('/metrics', API_KEY), 200, 'a key that may operate opens it as well');
      assert.equal(await scrape('/metrics', FRAMER_KEY), 403);
      assert.equal(await scrape('/v1/models', METRICS_TOKEN), 401, 'the token opens nothing else');
    },
    'metrics.listen': async ({ metricsAddress }) => {
      const ask = (path: string, headers: Record<string, string>) =>
        fetch(`http://${metricsAddress}${path}`, { headers });
      const keyed = { authorization: `Bearer ${METRICS_TOKEN}` };
      const answer = await ask('/metrics', keyed);
      assert.match(await answer.text(), /^farm_redis_up 1$/m);
      assert.equal((await ask('/metrics', {})).status, 401);
      assert.equal((await ask('/v1/models', keyed)).status, 404);
    },
    'tracing.enabled tracing.endpoint tracing.sample_ratio': async ({ farm, collector }) => {
      const ask = async (headers: Record<string, string>) => {
        const answer = await fetch(`${farm.url}/v1/models`, {
          headers: { authorization: `Bearer ${API_KEY}`, ...headers },
        });
        return answer.headers.get('traceparent') ?? '';
      };
      assert.match(await ask({}), /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/, 'traces that begin here are not kept');
      const answer = await ask({ traceparent: `00-${OTHERS_TRACE}-${OTHERS_SPAN}-01` });
      assert.ok(answer.startsWith(`00-${OTHERS_TRACE}-`) && answer.endsWith('-01'), answer);
      await until('the span has come', () => collector.spans.length > 0);
      const { traceId, parentId, name } = collector.spans[0] ?? {};
      assert.deepEqual(
        { traceId, parentId, name },
        { traceId: OTHERS_TRACE, parentId: OTHERS_SPAN, name: 'GET /v1/models' },
      );
    },
    'logging.access_log logging.audit_log': async ({ farm }) => {
      const lines = async (name: string) => (await readFile(path.join(farm.folder, 'logs', name), 'utf8')).split('\n');
      const render = '/v1/renders/r0mwziqxxx-f4ef0b7dce';
      const headers = { authorization: `Bearer ${API_KEY}`, 'x-request-id': 'of-this-test' };
      const answer = await fetch(`${farm.url}${render}`, { method: 'DELETE', headers });
      assert.equal(answer.headers.get('x-request-id'), 'of-this-test');
      await answer.text();
      const find = async (name: string) => {
        const line = (await lines(name)).find((text) => text.includes('"of-this-test"'));
        return JSON.parse(line ?? '{}') as Record<string, unknown>;
      };
      await until('the line is written', async () => (await find('access.log')).code === 404);
      assert.equal((await find('access.log')).route, 'DELETE /v1/renders/:id');
      const { audit, outcome, role, address } = await find('audit.log');
      const expected = { audit: 'render.remove', outcome: 'render_unknown', role: 'admin', address: '127.0.0.1' };
      assert.deepEqual({ audit, outcome, role, address }, expected);
    },
    'auth.api_keys': async ({ farm }) => {
      await assert.rejects(new NodeFarmClient(farm.url).models(), { code: 'unauthorised' });
      await assert.rejects(new NodeFarmClient(farm.url, 'a-wrong-key').models(), { code: 'unauthorised' });
      assert.equal((await farm.client.models()).models.length, 6);
    },
    'dashboard.read_only': async ({ farm }) => {
      const press = async (key: string) => {
        const url = `${farm.url}/dashboard/api/queues/media/clean/completed`;
        return (await fetch(url, { method: 'PUT', headers: { authorization: `Bearer ${key}` } })).status;
      };
      assert.deepEqual([await press(API_KEY), await press(FRAMER_KEY)], [200, 403]);
    },
    'auth.keys': async ({ farm }) => {
      const studio = new NodeFarmClient(farm.url, STUDIO_KEY);
      await assert.rejects(studio.unloadModel('ann'), { code: 'forbidden', message: /"studio" has the role "render"/ });
      for (let time = 1; time < 5; time++) assert.equal((await studio.models()).models.length, 6);
      await assert.rejects(studio.models(), { code: 'rate_limited' });
      await refusesFrames(farm);
      await refusesBytes(farm, new NodeFarmClient(farm.url, KEEPER_KEY), 0.4 * MB, 'key_limit_reached');
      using ends = new DisposableStack();
      const talk = ends.adopt(await openStream(farm, TALKER_KEY), (stream) => stream.cancel());
      assert.equal(farmCode(await failureOf(openStream(farm, TALKER_KEY))), 'key_limit_reached');
      const ended = once(talk, 'error');
      const settings = parse(await readFile(farm.configPath, 'utf8'));
      await farm.configure({ ...settings, auth: { ...settings.auth, keys: [] } });
      assert.equal(
        farmCode((await ended)[0]),
        'unauthorised',
        'a key that is taken out of the file ends what runs for it',
      );
      await assert.rejects(new NodeFarmClient(farm.url, TALKER_KEY).models(), { code: 'unauthorised' });
    },
    'http.allowed_hosts': async ({ farm }) => {
      assert.equal((await ask(farm, { host: 'farm.test' })).statusCode, 200);
      assert.equal((await ask(farm, { host: 'evil.test' })).statusCode, 421);
    },
    'http.allowed_origins': async ({ farm }) => {
      const { statusCode, headers } = await ask(farm, { origin: PRODUCT });
      assert.deepEqual([statusCode, headers['access-control-allow-origin']], [200, PRODUCT]);
      assert.equal((await ask(farm, { origin: 'https://evil.test' })).statusCode, 403);
    },
    'http.trusted_proxies': async ({ farm }) => {
      const { headers } = await ask(farm, { 'x-forwarded-proto': 'https' });
      assert.ok(headers['strict-transport-security'], 'the farm knows that it was asked over TLS');
    },
    'grpc.tls.cert_path grpc.tls.key_path grpc.tls.ca_path': async ({ farm, tls }) => {
      await farm.grpc.untilHealth('SERVING');
      const strangers = [
        new TestClient(farm.grpcAddress, credentials.createSsl(tls.serverCertificate)),
        new TestClient(farm.grpcAddress),
      ];
      for (const client of strangers) {
        assert.equal((await failureOf(client.healthStatus())).code, status.UNAVAILABLE);
        client.close();
      }
    },
    'grpc.max_concurrent_streams grpc.keepalive_seconds': async (bench) => {
      using ends = new DisposableStack();
      const session = ends.adopt(await bareConnection(bench), (open) => open.destroy());
      assert.equal(session.remoteSettings.maxConcurrentStreams, CONCURRENT_STREAMS);
      await once(session, 'ping', { signal: AbortSignal.timeout(PING_WITHIN_MS) });
    },
    'server.max_message_size_mb': async ({ farm }) => {
      const message = { model_id: 'ann', raw_audio: Buffer.alloc(1.1 * MB), batch_size: 1, sample_rate: 16_000 };
      const error = await failureOf(farm.grpc.unary(MONOLITHIC, 'InferBatchComposite', message, KEYED));
      assert.equal(error.code, status.RESOURCE_EXHAUSTED);
    },
    'limits.memory_budget_mb': async (bench) => {
      using ends = new DisposableStack();
      const session = ends.adopt(await bareConnection(bench), (open) => open.destroy());
      // Each counts three times, and the message itself is never sent.
      const calls = Array.from({ length: 3 }, () => new RawCall(session, { key: API_KEY }));
      for (const call of calls) call.announce(MB);
      assert.equal((await Promise.race(calls.map(({ refused }) => refused))).code, 'memory_full');
    },
    'limits.max_connections': async ({ farm }) => {
      using ends = new DisposableStack();
      const { hostname, port } = new URL(farm.url);
      const sockets = Array.from({ length: 51 }, () =>
        ends.adopt(connectTcp(Number(port), hostname), (socket) => socket.destroy()),
      );
      await Promise.race(
        sockets.map(async (socket) => {
          socket.on('error', () => {});
          await once(socket, 'close');
        }),
      );
      ends.dispose();
      // The farm hears of each end by itself, and takes nobody until then.
      await until('there is room again', () =>
        farm.client.models().then(
          () => true,
          () => false,
        ),
      );
    },
    'webhooks.allow_private_addresses webhooks.allowed_addresses': async ({ farm }) => {
      const test = async (url: string) => {
        const headers = { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' };
        const answer = await fetch(`${farm.url}/v1/webhooks/test`, {
          method: 'POST',
          headers,
          body: JSON.stringify({ url }),
        });
        return answer.status;
      };
      assert.deepEqual([await test('http://127.0.0.1:9/'), await test('http://169.254.1.1:9/')], [202, 202]);
      assert.equal(await test('http://169.254.1.2:9/'), 422);
    },
    [[
      'webhooks.default_url webhooks.default_events webhooks.secrets',
      'webhooks.attempts webhooks.first_wait_seconds',
    ].join(' ')]: async ({ farm, hooks }) => {
      const { id } = await farm.client.submit(await farm.speech(0.1), { modelId: 'ann' });
      await farm.client.cancel(id);
      const ofThis = () => hooks.filter(({ body }) => body.includes(id));
      await until('both tries have come', () => ofThis().length === 2);
      const [first, second] = ofThis();
      assert.ok(first && second && second.atMs - first.atMs > 700);
      new Webhook(WEBHOOK_SECRET).verify(first.body, first.headers as Record<string, string>);
      const deliveries = async () => {
        const answer = await fetch(`${farm.url}/v1/webhooks/deliveries?render=${id}`, {
          headers: { authorization: `Bearer ${API_KEY}` },
        });
        return ((await answer.json()) as { deliveries: { outcome: string }[] }).deliveries.map(
          ({ outcome }) => outcome,
        );
      };
      await until('it was given up', async () => (await deliveries()).includes('given_up'));
      assert.deepEqual(await deliveries(), ['given_up', 'failed']);
      await farm.client.remove(id);
      await until('what is chosen beside the end has come', () => ofThis().length > 2);
      const types = new Set(ofThis().map(({ body }) => JSON.parse(body).type));
      assert.deepEqual([...types], ['render.cancelled', 'render.removed'], 'and no render.queued');
    },
    'limits.max_event_streams': async ({ farm }) => {
      using ends = new DisposableStack();
      const follow = async () => {
        const client = await SseClient.open(`${farm.url}/v1/events`, { authorization: `Bearer ${API_KEY}` });
        return ends.use(client).response.statusCode;
      };
      assert.deepEqual([await follow(), await follow(), await follow()], [200, 200, 429]);
    },
    'limits.max_video_previews': async ({ farm }) => {
      const { id } = await farm.client.submit(await farm.speech(3), { modelId: 'ann' });
      await farm.client.finished(id);
      const headers = { authorization: `Bearer ${API_KEY}` };
      const watch = () => fetch(`${farm.url}/v1/renders/${id}/preview?as=mjpeg`, { headers });
      // Again where the first one was over when the farm came to the second.
      await until('one of two is refused', async () => {
        const answers = await Promise.all([watch(), watch()]);
        await Promise.all(answers.map((answer) => answer.body?.cancel()));
        return (
          answers
            .map(({ status }) => status)
            .sort()
            .join() === '200,429'
        );
      });
    },
    'server.queue_size': async ({ farm }) => {
      const speech = await farm.speech(0.1);
      await farm.withoutGpus([0], async () => {
        await using taken = new CancelledRenders(farm);
        for (let render = 0; render < 2; render++) await taken.submit(speech);
        await assert.rejects(taken.submit(speech), { code: 'queue_full' });
      });
    },
    'limits.max_upload_mb': async ({ farm }) => {
      const file = path.join(farm.folder, 'large.wav');
      await writeFile(file, Buffer.alloc(1.1 * MB));
      await assert.rejects(farm.client.submit(file, { modelId: 'ann' }), { code: 'upload_too_large', message: /1 MB/ });
    },
    'inputs.url_hosts inputs.url_networks inputs.url_timeout_seconds': async ({ farm }) => {
      const speech = await readFile(await farm.speech(0.5));
      const server = createHttpServer(({ url }, answer) =>
        url === '/a.wav' ? answer.end(speech) : answer.flushHeaders(),
      );
      await once(server.listen(0, '127.0.0.1'), 'listening');
      using ends = new DisposableStack();
      ends.defer(() => void server.close().closeAllConnections());
      const { port } = server.address() as AddressInfo;
      const submit = async (audio_url: string) => {
        const headers = { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' };
        const body = JSON.stringify({ model_id: 'ann', audio_url, output: 'frames' });
        return (await (await fetch(`${farm.url}/v1/renders`, { method: 'POST', headers, body })).json()) as {
          id?: string;
          error?: { message: string };
        };
      };
      const { id = '' } = await submit(`http://127.0.0.1:${port}/a.wav`);
      assert.equal((await farm.client.finished(id)).frames.total, 13);
      assert.match((await submit(`http://localhost:${port}/a.wav`)).error?.message ?? '', /does not list localhost/);
      assert.match((await submit(`http://127.0.0.1:${port}/slow`)).error?.message ?? '', /within 4 s/);
    },
    'limits.max_audio_minutes': async ({ farm }) => {
      const { id } = await farm.client.submit(await farm.speech(4), { modelId: 'ann' });
      await assert.rejects(farm.client.finished(id), { code: 'audio_too_long' });
      assert.equal((await farm.render('ann', 2.9)).frames, 73);
    },
    'limits.max_video_minutes': async ({ farm }) => {
      const video = path.join(farm.folder, 'me.mkv');
      const source = 'color=size=16x16:rate=25:duration=3.04';
      await run('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', source, '-c:v', 'ffv1', video]);
      const marks = { form: 'rects', file: new Blob(['[[0, 0, 8, 8]]']) } as const;
      const footage = { video: new Blob([await readFile(video)]), marks };
      const { id } = await farm.client.submit(await farm.speech(1), { modelId: 'ann', footage });
      await assert.rejects(farm.client.finished(id), { code: 'video_too_long', message: /0\.1 min.*0\.05/ });
    },
    'gpus.memory_gb_per_gpu': async ({ farm }) => {
      const [gpu] = (await farm.client.gpus()).gpus;
      assert.equal(gpu?.memory?.limit_mb, LIMIT_MB);
      await assert.rejects(farm.client.loadModel('heavy'), { code: 'model_too_large' });
    },
    'capacity.idle_timeout_minutes': async ({ farm }) => {
      await farm.client.loadModel('ann');
      await until('nobody has used it for so long that it goes', async () => !(await isLoaded(farm, 'ann')));
    },
    'live.frame_listen live.frame_advertise': async ({ farm, framesCame }) => {
      // A worker that did not reach the front end in time sends by Redis, and for some seconds does not try again.
      await until('a frame comes by the address that is advertised', async () => {
        const before = framesCame();
        const [frame] = await farm.frames('ann', KEYED);
        return framesCame() - before > (frame?.length ?? 0);
      });
    },
    'live.batch_wait_ms': async ({ farm }) => {
      await farm.frames('counting', KEYED);
      const startedAt = performance.now();
      for (let time = 0; time < 5; time++) await farm.frames('counting', KEYED);
      // A run of one frame of four is not full, so each has waited. Timers may be a little early.
      assert.ok(performance.now() - startedAt >= 5 * (BATCH_WAIT_MS - 2));
    },
    'live.max_streams_per_gpu live.idle_stream_seconds': async ({ farm }) => {
      using ends = new DisposableStack();
      const first = ends.adopt(await openStream(farm), (stream) => stream.cancel());
      const sound = Buffer.alloc(2 * 1600);
      const talk = ends.adopt(
        setInterval(() => first.write({ audio: sound }), 100),
        (timer) => clearInterval(timer),
      );
      assert.equal(farmCode(await failureOf(openStream(farm))), 'capacity_full');
      clearInterval(talk);
      let second: Awaited<ReturnType<typeof openStream>> | undefined;
      await until('the silent one gives its place back', async () => {
        second = await openStream(farm).catch(() => undefined);
        return second !== undefined;
      });
      second?.cancel();
    },
    'render.attempts': async ({ farm }) => {
      const { id } = await farm.client.submit(await farm.speech(0.4), { modelId: 'faulty' });
      await assert.rejects(farm.client.finished(id), { code: 'inference_failed' });
    },
    'render.farm_fault_minutes': async ({ farm }) => {
      const speech = await farm.speech(0.1);
      const { id, waits } = await farm.withoutGpus([0], async () => {
        const { id } = await farm.client.submit(speech, { modelId: 'ann' });
        await until('it is planned', async () => (await farm.client.get(id)).status === 'rendering');
        await rm(path.join(farm.folder, 'data/renders', id, 'audio.f32'));
        // From before the GPU takes it: it does not wait for long.
        return { id, waits: waitsOf(farm, id) };
      });
      assert.ok((await waits).has('storage_failed'));
      await assert.rejects(farm.client.finished(id), { code: 'storage_failed' });
    },
    'limits.stuck_seconds': async ({ farm }) => {
      const worker = async () => (await farm.client.gpus()).gpus[0];
      const before = (await worker())?.worker;
      await assert.rejects(farm.frames('hanging', KEYED), new RegExp(`made no progress for ${STUCK_SECONDS} s`));
      await until('its worker is replaced', async () => {
        const now = await worker();
        return now?.state === 'ready' && now.worker !== before;
      });
    },
    'logging.buffered_logging logging.auto_flush': async (bench) => {
      // Lines would be here at once, or within the interval; the worker that was stuck has ended. The media worker has
      // had more jobs than its 4 KB of lines hold.
      const ready = logged(bench, 'ready').filter((line) => !/ media +ready$/.test(line));
      assert.equal(ready.length, 1, ready.join('\n'));
    },
    'limits.drain_seconds': async ({ farm }) => {
      await farm.client.loadModel('slow');
      const { id } = await farm.client.submit(await farm.speech(2.9), { modelId: 'slow' });
      for await (const { frames } of farm.client.watch(id)) if (frames.done > 0) break;
    },
  },
  afterTheEnd: {
    'logging.buffered_logging': async (bench) => {
      assert.equal(logged(bench, 'ready').length, 4, 'every process writes at the end what it has collected');
    },
    'render.attempts': async (bench) => {
      assert.equal(logged(bench, 'job failed and will be tried again').length, ATTEMPTS - 1);
    },
    'limits.drain_seconds': async (bench) => {
      const segments = logged(bench, 'segment rendered').filter((line) => line.includes('frames=73'));
      assert.equal(segments.length, 1, 'the slow one was handed back, not finished');
      // Who takes longer than that is ended from outside, and says nothing more.
      const ended = bench.farm.output.filter((line) => / gpu-0 +drained$/.test(line));
      assert.equal(ended.length, 1, 'the worker has ended by itself');
    },
  },
};
