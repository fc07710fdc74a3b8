import type { Backdrop, BackdropReader } from '../avatar/backdrop.ts';
import type { FrameCompositor } from '../compositor/contract.ts';
import type { NetworkSize } from '../pipeline/contract.ts';
import type { ContentHashes } from './content-hashes.ts';
import type { AvatarSources } from './contract.ts';
import type { PictureMemory } from './picture-memory.ts';
import type { PreparedFiles } from './prepared-files.ts';
import type { PreparedPlanes } from './prepared-planes.ts';

/** What the pictures of one avatar are prepared from, and where they are kept. */
export interface PicturesOptions {
  readonly avatar: AvatarSources;
  readonly side: NetworkSize;
  /** JPEG quality of the prepared pictures. */
  readonly quality: number;
  readonly files: PreparedFiles;
  readonly planes: PreparedPlanes;
  readonly alpha: PreparedPlanes;
  /** What is seen behind the pictures. */
  readonly backdrop?: Backdrop | undefined;
  readonly backdrops: BackdropReader;
  readonly hashes: ContentHashes;
  /** Of this thread. */
  readonly compositor: FrameCompositor;
  /** Pictures kept in memory, ≥ 1, within their share of bytes. */
  readonly cachedFrames: number;
  /** Of pictures beyond these, of this thread. */
  readonly memory: PictureMemory;
}
