/**
 * The version of everything between a segment's inputs and its bytes: mel, features, faces, mouths, compositing, planes,
 * JPEG, the arguments of the encoders. Raise it when the same inputs come to give other bytes: what is kept of the
 * version before is then never found, and goes as others need the room. test/segments/segment-version.test.ts notices a
 * change that was forgotten here.
 */
export const SEGMENT_VERSION = 1;
