import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { LAST_FRAME } from '../../../shared/limits.ts';
import { avatarPicturesViewSchema } from '../../../shared/views/models-view.ts';
import type { Services } from '../../services.ts';
import { namesTag } from '../etag.ts';
import { modelParams as params } from '../farm/model-routes.ts';
import { bytesOf, failures, nothing } from '../openapi.ts';
import { wholeNumber } from '../whole-number.ts';

const tags = ['models'];
const config = { access: 'render' } as const;
const headers = z.looseObject({
  'if-none-match': z.string().optional().describe('Entity tags of what the client has'),
});
const answers = {
  200: bytesOf('The picture, 640 pixels at most', 'image/jpeg'),
  304: nothing('The client has it'),
  ...failures('model_unknown', 'avatar_picture_unknown'),
};

/** /v1/models/{id}/portrait and /pictures: how an avatar looks. */
export const avatarPictureRoutes: FastifyPluginAsyncZod<Services> = async (app, { avatarPictures }) => {
  const list = {
    ...{ operationId: 'listAvatarPictures', tags, summary: 'Some pictures of an avatar, with their crop rects' },
    params,
    response: { 200: avatarPicturesViewSchema, ...failures('model_unknown', 'avatar_picture_unknown') },
  };
  app.get('/v1/models/:id/pictures', { schema: list, config }, async ({ params }) => avatarPictures.list(params.id));

  const portrait = {
    ...{ operationId: 'getAvatarPortrait', tags, summary: 'A picture of an avatar' },
    ...{ params, headers, response: answers },
  };
  app.get('/v1/models/:id/portrait', { schema: portrait, config }, async (request, reply) =>
    send(await avatarPictures.picture(request.params.id), request, reply),
  );

  const picture = {
    ...{ operationId: 'getAvatarPicture', tags, summary: 'One of the pictures that are listed' },
    params: params.extend({ index: wholeNumber(0, LAST_FRAME) }),
    querystring: z.strictObject({
      version: z.string().max(64).optional().describe('As in the list: another one when the picture has changed'),
    }),
    ...{ headers, response: answers },
  };
  app.get('/v1/models/:id/pictures/:index', { schema: picture, config }, async (request, reply) => {
    const { id, index } = request.params;
    return send(await avatarPictures.picture(id, index), request, reply);
  });
};

function send({ jpeg, tag }: { jpeg: Buffer; tag: string }, request: FastifyRequest, reply: FastifyReply) {
  reply.header('etag', tag).header('cache-control', 'private, no-cache').type('image/jpeg');
  return namesTag(request.headers['if-none-match'], tag) ? reply.status(304).send() : reply.send(jpeg);
}
