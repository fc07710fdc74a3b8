import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { GAUGES } from '../../api/metrics/gauges.ts';
import { type Config, loadConfig } from '../../shared/config/load.ts';
import { grpcAddresses, refuseOpenAddress } from '../../shared/config/open-address.ts';
import { COUNTERS } from '../../shared/metrics/catalogue.ts';
import { readEnvironment } from '../../shared/process/environment.ts';
import { CLOSING_MS } from '../../shared/process/shutdown.ts';
import {
  build,
  type Container,
  FOLDER,
  LAYERS,
  type Manifest,
  readKustomization,
  readManifests,
  resourcesOf,
  violationsOf,
} from './kubernetes.ts';

/** What `kubectl create secret` makes by the README. */
const SECRETS = {
  'lipsync-farm': { REDIS_URL: 'redis://redis:6379', AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' },
  'lipsync-farm-api': { FARM_AUTH__API_KEYS: '["a long random key"]', FARM_METRICS__TOKEN: 'another long random key' },
};
const POD_IP = '10.1.2.3';
const PROBES = ['startupProbe', 'readinessProbe', 'livenessProbe'];
const WORKLOADS = ['Deployment', 'StatefulSet'];

const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-kubernetes-'));
after(async () => await rm(folder, { recursive: true, force: true }));

describe('the manifests for Kubernetes', () => {
  it('keep the published schemas of Kubernetes and KEDA, as they are written', () => {
    for (const layer of LAYERS) {
      for (const manifest of resourcesOf(layer)) assert.deepEqual(violationsOf(manifest), [], nameOf(manifest));
    }
  });

  it('are checked by schemas that can say no', () => {
    const [api] = readManifests('base/api.yaml');
    const misspelt = JSON.parse(JSON.stringify(api).replace('livenessProbe', 'livenesProbe'));
    assert.match(violationsOf(misspelt).join(), /livenesProbe/);
    const [scaled] = readManifests('overlays/gpus/scaling.yaml');
    assert.match(violationsOf({ ...scaled, spec: { trigger: [] } as object }).join(), /scaleTargetRef.*trigger/s);
  });

  for (const layer of LAYERS) {
    it(`${layer}: name files that are there, and patches what is there`, () => {
      const { patches = [], configMapGenerator = [] } = readKustomization(layer);
      const known = resourcesOf(layer).map(nameOf);
      for (const { path: file } of patches) {
        const [patch] = readManifests(path.join(layer, file));
        if (patch?.kind) assert.ok(known.includes(nameOf(patch)), `${file} patches nothing`);
      }
      for (const { files } of configMapGenerator) {
        for (const file of files) assert.doesNotThrow(() => readFileSync(path.join(FOLDER, layer, file)), file);
      }
    });

    it(`${layer}: keep the schemas as kustomize builds them, with the farm's own programs and configuration`, async (t) => {
      const built = build(layer);
      if (!built) return t.skip('skipped: neither kubectl nor kustomize is here');
      for (const manifest of built) assert.deepEqual(violationsOf(manifest), [], nameOf(manifest));
      await refusesNothing(built);
    });
  }

  it('scale by metrics that the farm has, with labels that these have', () => {
    const queries = readManifests('overlays/gpus/scaling.yaml').flatMap(({ spec }) => spec?.triggers ?? []);
    const metrics: Record<string, { readonly labels: readonly string[] }> = { ...GAUGES, ...COUNTERS };
    assert.ok(queries.length >= 3);
    for (const { metadata } of queries) {
      const named = [...metadata.query.matchAll(/\bfarm_\w+/g)].map(([name]) => name);
      assert.ok(named.length > 0, metadata.query);
      const used = [...metadata.query.matchAll(/(?:by \(|[{,])(\w+)[)=]/g)].map(([, label]) => label);
      for (const name of named) {
        assert.ok(metrics[name], `${name} is no metric of the farm`);
        for (const label of used) assert.ok(label && metrics[name].labels.includes(label), `${name} has no ${label}`);
      }
    }
  });
});

/** That the processes of a built layer start: their configuration, ports, probes, time to drain. */
async function refusesNothing(built: readonly Manifest[]): Promise<void> {
  const text = built.find(({ kind }) => kind === 'ConfigMap')?.data?.['config.yaml'] ?? '';
  const file = path.join(folder, 'config.yaml');
  await writeFile(file, text);
  const pods = built.filter(({ kind, metadata }) => WORKLOADS.includes(kind) && metadata.name !== 'redis');
  assert.deepEqual(pods.map(({ metadata }) => metadata.name).sort(), ['api', 'gpu', 'media']);
  for (const pod of pods) {
    const { terminationGracePeriodSeconds = 0, containers, volumes } = templateOf(pod).spec;
    const [container] = containers;
    assert.ok(container);
    const config = loadConfig(file, readEnvironment(environmentOf(container)));
    assert.equal(config.redis.url, SECRETS['lipsync-farm'].REDIS_URL);
    if (container.name === 'api') showsItsPorts(container, config);
    else showsItsHealth(container);
    const [, seconds = '0'] = container.lifecycle?.preStop?.exec.command ?? [];
    const needs = Number(seconds) + config.limits.drain_seconds + CLOSING_MS / 1000;
    assert.ok(terminationGracePeriodSeconds > needs, `${container.name} is killed before it has drained`);
    for (const place of [config.storageRoot, config.preparedDir]) {
      const mounted = container.volumeMounts?.some(({ mountPath }) => `${place}/`.startsWith(`${mountPath}/`));
      assert.ok(mounted, `${container.name} cannot write ${place}`);
    }
    for (const { name } of container.volumeMounts ?? []) assert.ok(volumes?.some((volume) => volume.name === name));
  }
  meetTheirPods(built);
}

function environmentOf({ env = [], envFrom = [] }: Container): Record<string, string> {
  const secrets = envFrom.map(({ secretRef }) => SECRETS[secretRef.name as keyof typeof SECRETS]);
  const own = env.flatMap(({ name, value }) =>
    value === undefined ? [] : [[name, value.replace('$(POD_IP)', POD_IP)]],
  );
  return { ...Object.assign({}, ...secrets), ...Object.fromEntries(own) };
}

function showsItsPorts(api: Container, config: Config): void {
  refuseOpenAddress(config);
  const ports = Object.fromEntries((api.ports ?? []).map(({ name, containerPort }) => [name, containerPort]));
  const { host, port } = config.http;
  assert.deepEqual([host, port], ['0.0.0.0', ports.http]);
  assert.deepEqual(grpcAddresses(config)[0], { key: 'server.port', host: '0.0.0.0', port: ports.grpc });
  assert.deepEqual(config.live.frame_listen, { host: '0.0.0.0', port: ports.frames });
  assert.equal(config.live.frame_advertise, `${POD_IP}:${ports.frames}`);
  for (const probe of probesOf(api)) assert.deepEqual(probe, { path: '/healthz', port: 'http' });
}

/** `--health` is where the probes ask, and they ask for what is answered there. */
function showsItsHealth(worker: Container): void {
  const address = worker.args[worker.args.indexOf('--health') + 1];
  assert.equal(address, `0.0.0.0:${worker.ports?.find(({ name }) => name === 'health')?.containerPort}`);
  const [startup, readiness, liveness] = probesOf(worker);
  assert.deepEqual([startup, readiness], Array(2).fill({ path: '/readyz', port: 'health' }));
  assert.deepEqual(liveness, { path: '/healthz', port: 'health' });
}

function probesOf(container: Container): unknown[] {
  return PROBES.map((name) => (container[name] as { httpGet?: unknown })?.httpGet);
}

/** Services, budgets, rules of the network and scalers select pods that there are. */
function meetTheirPods(built: readonly Manifest[]): void {
  const pods = built
    .filter(({ kind }) => WORKLOADS.includes(kind))
    .map((manifest) => ({ manifest, ...templateOf(manifest) }));
  for (const { kind, metadata, spec } of built) {
    const what = `${kind}/${metadata.name}`;
    const target = spec?.scaleTargetRef;
    if (target)
      assert.ok(
        built.some((manifest) => nameOf(manifest) === `${target.kind}/${target.name}`),
        what,
      );
    const labels =
      spec?.podSelector?.matchLabels ?? spec?.selector?.matchLabels ?? (kind === 'Service' && spec?.selector);
    if (!labels) continue;
    const pod = pods.find(({ metadata: { labels: own } }) =>
      Object.entries(labels).every(([key, value]) => own[key] === value),
    );
    assert.ok(pod, `${what} selects no pod`);
    const names = pod.spec.containers.flatMap(({ ports = [] }) => ports.map(({ name }) => name));
    const asked = [
      ...(spec?.ports ?? []).map(({ targetPort }) => targetPort),
      ...(spec?.ingress ?? []).flatMap(({ ports = [] }) => ports.map(({ port }) => port)),
    ];
    for (const port of asked) assert.ok(names.includes(port), `${what} asks for the port ${port}, which no pod has`);
  }
}

function templateOf({ spec, kind, metadata }: Manifest) {
  assert.ok(spec?.template, `${kind}/${metadata.name} has no pods`);
  return spec.template;
}

const nameOf = ({ kind, metadata }: Manifest) => `${kind}/${metadata.name}`;
