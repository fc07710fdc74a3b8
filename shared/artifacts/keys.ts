import { formOf, type Output } from '../renders/outputs.ts';

/** Names of the files of a render, relative to the store. */
export const artifactKeys = {
  folder: (renderId: string) => `renders/${renderId}`,
  upload: (renderId: string) => `renders/${renderId}/upload`,
  /** Own footage as it was uploaded: the video, and where the mouth is in its frames. */
  footageVideo: (renderId: string) => `renders/${renderId}/footage-video`,
  footageMarks: (renderId: string) => `renders/${renderId}/footage-marks`,
  /** What is made of it: its pictures, their crop rects, their prepared forms. The rects come last. */
  footageFolder: (renderId: string) => `renders/${renderId}/footage`,
  footagePictures: (renderId: string) => `renders/${renderId}/footage/pictures`,
  footageRects: (renderId: string) => `renders/${renderId}/footage/crop_rects.json`,
  footagePrepared: (renderId: string) => `renders/${renderId}/footage/prepared`,
  /** 16 kHz mono float32, little-endian, no header. */
  samples: (renderId: string) => `renders/${renderId}/audio.f32`,
  /**
   * The sound of the video: 16-bit at the upload's own rate, little-endian, no header; the plan says how to read it.
   */
  sound: (renderId: string) => `renders/${renderId}/sound.s16`,
  /** Of a render with a silence gate: how much of a voice each frame hears, a digit each. */
  voices: (renderId: string) => `renders/${renderId}/voices`,
  segmentFolder: (renderId: string) => `renders/${renderId}/segments`,
  segmentVideo: (renderId: string, segmentIndex: number, output: Output = 'mp4') =>
    `renders/${renderId}/segments/${padded(segmentIndex)}.${formOf(output).extension}`,
  /** Names the segments in their order; lies beside them. */
  segmentList: (renderId: string) => `renders/${renderId}/segments/all.ffconcat`,
  /** The sound as it is in the video, in a file of its own; goes with the segments. */
  soundtrack: (renderId: string, output: Output = 'mp4') =>
    `renders/${renderId}/segments/sound.${formOf(output).extension}`,
  frame: (renderId: string, frameIndex: number, output: Output = 'frames') =>
    `renders/${renderId}/frames/${padded(frameIndex)}.${formOf(output).extension}`,
  video: (renderId: string, output: Output = 'mp4') => `renders/${renderId}/video.${formOf(output).extension}`,
  /** The latest picture, while the render runs. */
  preview: (renderId: string) => `renders/${renderId}/preview.jpg`,
  receipt: (renderId: string) => `renders/${renderId}/receipt.json`,
  /** What was measured of a segment's frames; goes with the segments. */
  segmentMeasures: (renderId: string, segmentIndex: number) =>
    `renders/${renderId}/segments/${padded(segmentIndex)}.measures.json`,
  /** One frame for the contact sheet; goes with the segments. */
  tile: (renderId: string, frameIndex: number) => `renders/${renderId}/segments/tile-${padded(frameIndex)}.jpg`,
  contactSheet: (renderId: string) => `renders/${renderId}/contact-sheet.jpg`,
  waveform: (renderId: string) => `renders/${renderId}/waveform.svg`,
  waterfall: (renderId: string) => `renders/${renderId}/waterfall.svg`,
  /** Empty: somebody wants the render removed, so without a record this is no result. */
  unwanted: (renderId: string) => `renders/${renderId}/.unwanted`,
};

/** Folder of the segments that are kept for later renders (shared/segments/). */
const KEPT = 'segment-cache';
/** Names of what is kept of a segment, by the key of its content. */
export const keptKeys = {
  all: KEPT,
  segment: (key: string) => `${KEPT}/${key.slice(0, 2)}/${key}`,
  file: (key: string, name: string) => `${KEPT}/${key.slice(0, 2)}/${key}/${name}`,
};

function padded(index: number): string {
  return String(index).padStart(6, '0');
}
