import type { Readable } from 'node:stream';
import type { Multipart } from '@fastify/multipart';
import { FarmError } from '../../../shared/errors/farm-error.ts';
import { NAME_MAX } from '../../../shared/limits.ts';
import { MARK_FORMS } from '../../../shared/renders/footage.ts';
import { newRenderId } from '../../../shared/renders/id.ts';
import type { RenderOptions, StoredFile, StoredUpload } from '../../renders/request.ts';
import type { RenderSubmission } from '../../renders/submission.ts';

export type FilePart = Extract<Multipart, { type: 'file' }>;

const FOOTAGE_FIELDS = ['video', ...MARK_FORMS] as const;
type FootageField = (typeof FOOTAGE_FIELDS)[number];

/** The files of a form for one render, in the store under its id as they come, in any order. */
export class FormFiles {
  readonly #submission: RenderSubmission;
  readonly #renderId = newRenderId();
  readonly #footage = new Map<FootageField, StoredFile>();
  #sound: StoredUpload | undefined;

  constructor(submission: RenderSubmission) {
    this.#submission = submission;
  }

  /** FarmError: upload_missing for a field that takes no file, request_invalid, those of the store. */
  async store(part: FilePart, content: Readable): Promise<void> {
    // A part that has a file name alone comes with no field name, whatever its type says.
    const field = (part.fieldname as string | undefined) ?? '';
    const kind = FOOTAGE_FIELDS.find((name) => name === field);
    if (field !== 'audio' && !kind) {
      part.file.resume();
      throw new FarmError('upload_missing', `The file must be in the field "audio", not "${field}"`);
    }
    checkFileName(part);
    if (kind ? this.#footage.has(kind) : this.#sound) {
      part.file.resume();
      throw new FarmError('request_invalid', `${field}: given twice`);
    }
    const fileName = part.filename || field;
    if (!kind) this.#sound = await this.#submission.storeUpload(fileName, content, this.#renderId);
    else this.#footage.set(kind, { fileName, ...(await this.#submission.storeFootage(kind, content, this.#renderId)) });
  }

  /** That files and fields go together. FarmError: landmarks_missing, request_invalid. */
  check({ syncMode, backgroundMode, fromNeutral, startFrameIndex }: RenderOptions): void {
    const marks = MARK_FORMS.filter((form) => this.#footage.has(form));
    if (!this.#footage.has('video')) {
      const alone = marks[0] ?? (syncMode && 'sync_mode');
      if (alone) throw new FarmError('request_invalid', `${alone}: goes with a file field "video", which is missing`);
      return;
    }
    if (marks.length === 0) {
      throw new FarmError('landmarks_missing', 'The form has a video, and does not say where the mouth is in it');
    }
    if (marks.length > 1)
      throw new FarmError('request_invalid', 'The form has rects and landmarks; expected one of them');
    const ofPictures = { background_mode: backgroundMode, from_neutral: fromNeutral, start_frame: startFrameIndex };
    const [other] = Object.entries(ofPictures).find(([, value]) => value) ?? [];
    if (other)
      throw new FarmError('request_invalid', `${other}: is for an avatar's pictures; for a video give sync_mode`);
  }

  /** The upload with all that belongs to it. FarmError: upload_missing, request_invalid, those of storeFromUrl. */
  async whole(audioUrl: string | undefined, signal: AbortSignal): Promise<StoredUpload> {
    if (this.#sound && audioUrl !== undefined)
      throw new FarmError('request_invalid', 'The form has a file and an audio_url');
    if (audioUrl !== undefined) this.#sound = await this.#submission.storeFromUrl(audioUrl, signal, this.#renderId);
    const sound = this.#sound;
    if (!sound) throw new FarmError('upload_missing', 'The request has no file field "audio", and no audio_url');
    const video = this.#footage.get('video');
    const form = MARK_FORMS.find((name) => this.#footage.has(name));
    const marks = form && this.#footage.get(form);
    if (!video || !form || !marks) return sound;
    const footage = { fileName: video.fileName, videoSha256: video.sha256, marks: form, marksSha256: marks.sha256 };
    return { ...sound, uploadBytes: sound.uploadBytes + video.bytes + marks.bytes, footage };
  }

  /** Whether one has come. */
  get hasAny(): boolean {
    return this.#sound !== undefined || this.#footage.size > 0;
  }

  /** Removes what has come. */
  async discard(): Promise<void> {
    if (this.hasAny) await this.#submission.discardUpload(this.#renderId);
  }
}

/** FarmError('request_invalid') for a name that is too long. */
export function checkFileName({ file, fieldname, filename }: FilePart): void {
  if (filename.length <= NAME_MAX) return;
  file.resume();
  throw new FarmError('request_invalid', `${fieldname}: its file name is longer than ${NAME_MAX} characters`);
}
