import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { LABEL_KEY, LABEL_VALUE, MODEL_ID, MOST_LABELS, PAGE } from '../../../shared/limits.ts';
import { RENDER_ID } from '../../../shared/renders/id.ts';
import { RENDER_STATUSES } from '../../../shared/renders/record.ts';
import { SEARCH_MAX, searchWordsOf } from '../../../shared/renders/search.ts';
import { renderPageSchema } from '../../../shared/views/render-view.ts';
import { readCursor } from '../../renders/cursor.ts';
import type { Services } from '../../services.ts';
import { failures } from '../openapi.ts';
import { wholeNumber } from '../whole-number.ts';

const label = z.string().refine((text) => isLabel(splitLabel(text)), 'expected key=value, as a render has it');

const time = z
  .union([z.iso.datetime({ offset: true }), z.iso.date()], 'expected a time such as 2026-11-23T01:54:36Z, or a date')
  .meta({ type: 'string', format: 'date-time' });

const querySchema = z.strictObject({
  limit: wholeNumber(PAGE.min, PAGE.max).default(PAGE.default).describe('Renders on the page'),
  before: z
    .string()
    .refine((text) => readCursor(text) || RENDER_ID.test(text), 'neither a cursor nor a render id')
    .optional()
    .describe('Where to go on: the cursor in `next` of the page before, or the id of a render'),
  status: z.enum(RENDER_STATUSES).optional().describe('Only those of this status'),
  model_id: z.string().regex(MODEL_ID, 'not a model id').optional().describe('Only those made with this model'),
  label: z
    .union([label, z.array(label).max(MOST_LABELS)])
    .optional()
    .describe('key=value: only those with this label; given several times, with all of them'),
  search: z
    .string()
    .max(SEARCH_MAX)
    .optional()
    .describe('Words: only those that have all of them in their id, file name, model and labels, in any case'),
  created_from: time.optional().describe('Only those made at this time or later'),
  created_to: time.optional().describe('Only those made before this time'),
});
type Query = z.output<typeof querySchema>;

/** GET /v1/renders. */
export const listRenders: FastifyPluginAsyncZod<Services> = async (app, { renders }) => {
  const schema = {
    ...{ operationId: 'listRenders', tags: ['renders'], summary: 'Renders, newest first' },
    querystring: querySchema,
    response: { 200: renderPageSchema, ...failures('render_unknown') },
  };
  app.get('/v1/renders', { schema, config: { access: 'render' } }, async ({ query, caller }) => {
    const page = await renders.list({ ...filterOf(query), limit: query.limit, before: query.before }, caller);
    return { renders: page.renders, next: page.next && `/v1/renders?${queryOf({ ...query, before: page.next })}` };
  });
};

function filterOf({ status, model_id, search = '', created_from, created_to, ...query }: Query) {
  return {
    ...{ status, modelId: model_id, labels: labelsOf(query).map(splitLabel) },
    ...{ words: searchWordsOf(search), fromMs: msOf(created_from), toMs: msOf(created_to) },
  };
}

function labelsOf({ label = [] }: Pick<Query, 'label'>): string[] {
  return typeof label === 'string' ? [label] : label;
}

function splitLabel(text: string): [string, string] {
  const at = text.indexOf('=');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

function isLabel([name, value]: readonly [string, string]): boolean {
  return LABEL_KEY.test(name) && LABEL_VALUE.test(value);
}

function msOf(time: string | undefined): number | undefined {
  return time === undefined ? undefined : Date.parse(time);
}

/** The query of the next page: all that this one was asked for. */
function queryOf({ limit, before, label, ...filter }: Query): string {
  const others = Object.entries(filter).filter(([, value]) => value !== undefined) as [string, string][];
  const labels = labelsOf({ label }).map((text): [string, string] => ['label', text]);
  return new URLSearchParams([['limit', String(limit)], ...others, ...labels, ['before', before ?? '']]).toString();
}
