import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { buildApp } from '../../api/app.ts';
import { GAUGES } from '../../api/metrics/gauges.ts';
import { Metrics } from '../../api/metrics/metrics.ts';
import { openServices } from '../../api/services.ts';
import { hashApiKey } from '../../shared/api-keys.ts';
import { COUNTED } from '../../shared/metrics/catalogue.ts';
import { startReporting } from '../../shared/metrics/report.ts';
import { count, observe } from '../../shared/metrics/tally.ts';
import { startApi } from '../support/api.ts';
import { SILENT_LOGGER as log } from '../support/quiet-log.ts';
import { readExposition } from './exposition.ts';

const TOKEN = 'a-token-for-prometheus';
const OPERATOR = 'a-key-of-an-operator-of-32-letters';
const STUDIO = 'a-key-of-a-studio-of-32-characters';
const api = await startApi({
  metrics: { token: TOKEN },
  auth: {
    keys: [
      { name: 'operator', sha256: hashApiKey(OPERATOR), role: 'operate' },
      { name: 'studio', sha256: hashApiKey(STUDIO), role: 'render' },
    ],
  },
});
const { app, services, renderIn } = api;
const hasPromtool = spawnSync('promtool', ['--version']).status === 0;
const OPS = path.join(import.meta.dirname, '../../docs/ops');

const ask = (url: string, key: string, from = app) =>
  from.inject({ url, headers: { host: '127.0.0.1', authorization: `Bearer ${key}` } });

async function scrape(from = app): Promise<string> {
  const answer = await ask('/metrics', TOKEN, from);
  assert.equal(answer.statusCode, 200, answer.body);
  return answer.body;
}

function numberOf(page: string, series: string): number | undefined {
  const line = page.split('\n').find((text) => text.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

describe('/metrics', () => {
  it('is for the token, for operators, and for nobody else', async () => {
    const answer = await ask('/metrics', TOKEN);
    assert.equal(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
    assert.equal((await ask('/metrics', OPERATOR)).statusCode, 200);
    assert.equal((await ask('/metrics', STUDIO)).statusCode, 403);
    assert.equal((await ask('/metrics', 'another-key-of-more-than-32-letters')).statusCode, 401);
    assert.equal((await ask('/v1/models', TOKEN)).statusCode, 401, 'the token opens nothing else');
  });

  it('says the same at another front end, and counts each end of a render once', async () => {
    await renderIn('completed');
    const cancelled = await renderIn('rendering');
    await api.store.cancel(cancelled, 'the same writer');
    await api.store.cancel(cancelled, 'the same writer');
    await app.inject({ url: '/healthz', headers: { host: '127.0.0.1' } });
    await startReporting({ redis: services.redis, name: 'api', log }).stop();
    const others = openServices({ config: services.config, redis: services.redis, log });
    const other = await buildApp(others, log);
    const own = new Metrics({ ...services, store: api.store });
    const [page, again] = [await own.page(), await scrape(other)];
    await other.close();
    await others.close();
    for (const text of [page, again]) {
      assert.equal(numberOf(text, 'farm_renders_submitted_total{model="demo"}'), 2);
      assert.equal(numberOf(text, 'farm_renders_total{model="demo",outcome="cancelled"}'), 1);
      assert.equal(numberOf(text, 'farm_renders_total{model="demo",outcome="completed"}'), 1);
      assert.ok((numberOf(text, 'farm_http_requests_total{method="GET",route="/healthz",code="200"}') ?? 0) >= 1);
      assert.equal(numberOf(text, 'farm_redis_up'), 1);
    }
  });

  it('keeps to the format, whatever stands in a label', async () => {
    const odd = 'a "quoted" \\ model\nof two lines, with {braces} and a comma';
    count('farm_frames_total', { model: odd, gpu: 0, kind: 'live' }, 3);
    for (const seconds of [0.0001, 0.3, 1e6])
      observe('farm_stage_frame_seconds', { stage: odd, kind: 'live' }, seconds);
    await startReporting({ redis: services.redis, name: 'api', log }).stop();
    const families = readExposition(await new Metrics({ ...services, store: api.store }).page());
    for (const name of Object.keys({ ...COUNTED, ...GAUGES })) assert.ok(families.get(name)?.help, name);
    const frames = families.get('farm_frames_total')?.samples.find(({ labels }) => labels.model === odd);
    assert.deepEqual([frames?.value, frames?.labels.kind], [3, 'live']);
    const stages = families.get('farm_stage_frame_seconds')?.samples.filter(({ labels }) => labels.stage === odd) ?? [];
    assert.deepEqual(
      stages.filter(({ labels }) => labels.le === '+Inf').map(({ value }) => value),
      [3],
    );
    assert.ok(Math.abs((stages.find(({ name }) => name.endsWith('_sum'))?.value ?? 0) - 1_000_000.3001) < 1e-6);
  });

  it('costs Redis as many commands with many renders as with few', async () => {
    const look = async () => {
      const before = await commandsOf();
      await new Metrics({ ...services, store: api.store }).page();
      return (await commandsOf()) - before;
    };
    const few = await look();
    for (let made = 0; made < 40; made++) await renderIn(made % 2 === 0 ? 'queued' : 'completed');
    assert.equal(await look(), few);
  });
});

/** Commands that Redis has done, those of scripts included. */
async function commandsOf(): Promise<number> {
  const text = await services.redis.info('commandstats');
  return [...text.matchAll(/cmdstat_(?!info)\S+?:calls=(\d+)/g)].reduce((sum, [, calls]) => sum + Number(calls), 0);
}

/** The words of an expression that are metrics, each with the labels that are asked of it. */
function metricsIn(expression: string): { name: string; labels: string[] }[] {
  return [...expression.matchAll(/\b(farm_\w+)(?:\{([^}]*)\})?/g)].map(([, name = '', selector = '']) => ({
    name,
    labels: [...selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label = '']) => label),
  }));
}

/** What is wrong with an expression: parentheses that do not match, names and labels that the farm does not have. */
function faultsIn(expression: string, page: string): string[] {
  const faults: string[] = [];
  let open = 0;
  for (const sign of expression.replaceAll(/"[^"]*"/g, '')) {
    open += '([{'.includes(sign) ? 1 : ')]}'.includes(sign) ? -1 : 0;
    if (open < 0) faults.push('closes what is not open');
  }
  if (open !== 0) faults.push('parentheses do not match');
  const known: Record<string, { labels: readonly string[] }> = { ...COUNTED, ...GAUGES };
  for (const { name, labels } of metricsIn(expression)) {
    const family = name.replace(/_(?:bucket|sum|count)$/, '');
    const isHistogram = page.includes(`# TYPE ${family} histogram`);
    const isThere = page.includes(`# TYPE ${name} counter`) || page.includes(`# TYPE ${name} gauge`);
    if (isHistogram === isThere) faults.push(`${name} is not in a scrape`);
    const allowed = [...(known[isHistogram ? family : name]?.labels ?? []), 'le'];
    faults.push(...labels.filter((label) => !allowed.includes(label)).map((label) => `${name} has no label ${label}`));
  }
  if (metricsIn(expression).length === 0) faults.push('asks for no metric of the farm');
  return faults;
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly runbook: string };
}

describe('docs/ops', () => {
  it('has rules of metrics that are in a real scrape, each with a page of what to do', async () => {
    const page = await scrape();
    const { groups } = parse(readFileSync(path.join(OPS, 'alerts.yml'), 'utf8')) as { groups: { rules: Rule[] }[] };
    const rules = groups.flatMap((group) => group.rules);
    assert.ok(rules.length > 10);
    for (const { alert, expr, for: lasting = '1m', labels, annotations } of rules) {
      assert.deepEqual(faultsIn(expr, page), [], alert);
      assert.match(lasting, /^\d+[smhd]$/, alert);
      assert.match(labels.severity, /^(?:critical|warning|info)$/, alert);
      const text = readFileSync(path.join(OPS, '../..', annotations.runbook), 'utf8');
      assert.ok(text.includes(`\`${alert}\``), `${annotations.runbook} does not name ${alert}`);
      for (const heading of ['What it means', 'How to see it', 'What to do'])
        assert.ok(text.includes(`## ${heading}\n`));
    }
    const asked = new Set(rules.map(({ annotations }) => path.basename(annotations.runbook)));
    assert.deepEqual(
      readdirSync(path.join(OPS, 'runbooks')).filter((name) => !asked.has(name)),
      [],
    );
  });

  it('has rules that Prometheus takes', { skip: !hasPromtool && 'promtool is not installed' }, () => {
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', path.join(OPS, 'alerts.yml')]);
    assert.equal(status, 0, `${stdout}${stderr}`);
  });

  it('has a dashboard of metrics that are in a real scrape', async () => {
    const page = await scrape();
    const { panels } = JSON.parse(readFileSync(path.join(OPS, 'grafana-dashboard.json'), 'utf8')) as {
      panels: { title: string; type: string; targets?: { expr: string }[] }[];
    };
    const shown = panels.filter(({ type }) => type !== 'row');
    assert.ok(shown.length > 20);
    for (const { title, targets = [] } of shown) {
      assert.ok(targets.length > 0, title);
      for (const { expr } of targets) assert.deepEqual(faultsIn(expr, page), [], title);
    }
  });

  it('names only metrics that there are, in its text and its pages', () => {
    const known = Object.keys({ ...COUNTED, ...GAUGES });
    const pages = ['README.md', ...readdirSync(path.join(OPS, 'runbooks')).map((name) => path.join('runbooks', name))];
    for (const name of pages.filter((file) => existsSync(path.join(OPS, file)))) {
      const text = readFileSync(path.join(OPS, name), 'utf8');
      const named = [...text.matchAll(/(?<!\.)\bfarm_[a-z_]+\b/g)].map(([word]) => word);
      assert.deepEqual(
        named.filter((word) => !known.includes(word)),
        [],
        name,
      );
    }
  });

  it('would find a wrong name, a wrong label and an open parenthesis', async () => {
    const page = await scrape();
    const wrong = 'sum(rate(farm_frames{modle="a"}[1m])';
    assert.deepEqual(faultsIn(wrong, page), [
      'parentheses do not match',
      'farm_frames is not in a scrape',
      'farm_frames has no label modle',
    ]);
  });
});
