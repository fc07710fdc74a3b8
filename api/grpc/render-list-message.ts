import { z } from 'zod';
import { MODEL_ID, PAGE } from '../../shared/limits.ts';
import { RENDER_ID } from '../../shared/renders/id.ts';
import { labelsSchema, RENDER_STATUSES, type RenderStatus } from '../../shared/renders/record.ts';
import { SEARCH_MAX, searchWordsOf } from '../../shared/renders/search.ts';
import { checkMessage } from '../message-fields.ts';
import { readCursor } from '../renders/cursor.ts';
import type { ListQuery } from '../renders/renders.ts';
import type { ListRendersRequest } from './messages/farm.ts';

/** A text that may be empty, which stands for "any". */
const orAny = <T extends z.ZodType>(schema: T) =>
  z.union([z.literal('').transform(() => undefined), schema], {
    error: ({ input }) => `got "${input}", which is none`,
  });

const time = z.union([z.iso.datetime({ offset: true }), z.iso.date()]).transform((text) => Date.parse(text));

const requestSchema = z.object({
  page_size: z.int().refine((count) => count === 0 || (count >= PAGE.min && count <= PAGE.max), {
    error: ({ input }) => `got ${input}, expected ${PAGE.min} to ${PAGE.max}, or 0 for ${PAGE.default}`,
  }),
  before: orAny(z.string().refine((text) => readCursor(text) !== undefined || RENDER_ID.test(text))),
  status: orAny(
    z
      .string()
      .refine((name) => RENDER_STATUSES.some((status) => status.toUpperCase() === name))
      .transform((name) => name.toLowerCase() as RenderStatus),
  ),
  model_id: orAny(z.string().regex(MODEL_ID)),
  labels: labelsSchema,
  created_from: orAny(time),
  created_to: orAny(time),
  search: z.string().max(SEARCH_MAX),
});

/** What a message asks of the list. FarmError('request_invalid'). */
export function toListQuery(request: ListRendersRequest): ListQuery {
  const { page_size, before, status, model_id, labels, search, ...created } = checkMessage(requestSchema, request);
  return {
    ...{ limit: page_size || PAGE.default, before, status, modelId: model_id, labels: Object.entries(labels) },
    ...{ words: searchWordsOf(search), fromMs: created.created_from, toMs: created.created_to },
  };
}
