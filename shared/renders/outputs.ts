/** The forms in which a render gives its frames. */

export const OUTPUTS = ['mp4', 'webm', 'frames', 'png-frames'] as const;
export type Output = (typeof OUTPUTS)[number];
/** One video with sound. */
export type VideoOutput = Extract<Output, 'mp4' | 'webm'>;
/** A file for each frame. */
export type FramesOutput = Exclude<Output, VideoOutput>;

/** What is the same of all renders to an output. */
export interface OutputForm {
  readonly isVideo: boolean;
  /** Of the video, or of each frame. */
  readonly extension: 'mp4' | 'webm' | 'jpg' | 'png';
  readonly contentType: string;
  /** Whether a frame keeps the alpha of its picture; without it frames show the picture's colours everywhere. */
  readonly hasAlpha: boolean;
}

const FORMS: Readonly<Record<Output, OutputForm>> = {
  mp4: { isVideo: true, extension: 'mp4', contentType: 'video/mp4', hasAlpha: false },
  webm: { isVideo: true, extension: 'webm', contentType: 'video/webm', hasAlpha: true },
  frames: { isVideo: false, extension: 'jpg', contentType: 'image/jpeg', hasAlpha: false },
  'png-frames': { isVideo: false, extension: 'png', contentType: 'image/png', hasAlpha: true },
};

export function formOf(output: Output): OutputForm {
  return FORMS[output];
}

export function isVideo(output: Output): output is VideoOutput {
  return FORMS[output].isVideo;
}
