import { z } from 'zod';

/** Small pictures of an avatar, for those who choose one: media workers write them into the store, front ends read them. */

/** Names of their files, relative to the store. */
export const avatarPictureKeys = {
  /** Folder of those of all avatars, each in one by its model id. */
  all: 'avatars',
  folder: (modelId: string) => `avatars/${modelId}`,
  /** Written last: what it names is there. */
  list: (modelId: string) => `avatars/${modelId}/pictures.json`,
  picture: (modelId: string, version: string, index: number) => `avatars/${modelId}/${version}-${index}.jpg`,
};

const rectSchema = z.object({ x1: z.int(), y1: z.int(), x2: z.int(), y2: z.int() });

export const avatarPicturesSchema = z.object({
  /** Of the model's entry and its files: another one when the pictures may differ. */
  version: z.string().regex(/^[\w-]+$/),
  /** Of the avatar's own pictures, in pixels. */
  width: z.int().positive(),
  height: z.int().positive(),
  /** Number of the avatar's own pictures. */
  total: z.int().positive(),
  /** Those that were made small, evenly spaced: index, and crop rect in pixels of the avatar's own picture. */
  pictures: z.array(z.object({ index: z.int().nonnegative(), rect: rectSchema })).min(1),
});
export type AvatarPictures = z.infer<typeof avatarPicturesSchema>;
