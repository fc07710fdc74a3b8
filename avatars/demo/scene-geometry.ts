/**
 * Where things are: the one place that the drawing, the crop rects, the networks and the mouth's measure share.
 * Head coordinates: x to the viewer's right from the middle of the face, y down from the line of the eyes, in pixels of
 * the 1280×720 picture at rest.
 */

export const PICTURE_WIDTH = 1280;
export const PICTURE_HEIGHT = 720;

/** Origin of the head coordinates in the picture, at rest. */
export const HEAD_ORIGIN = { x: 640, y: 258 } as const;
/** The head turns about a point in the neck. */
export const HEAD_PIVOT = { x: 0, y: 215 } as const;

/** The closed mouth's line is the parabola y = LINE_Y − CORNER_LIFT·(x / HALF_WIDTH)². */
export const MOUTH_LINE_Y = 110;
export const MOUTH_CORNER_LIFT = 4;
export const MOUTH_HALF_WIDTH = 34;
export const CHIN_Y = 174;

/** Crop rects are squares of this side … */
export const CROP_SIDE = 224;
/** … with the middle of the mouth's line here, within half a pixel. */
export const MOUTH_IN_CROP = { x: 112, y: 104 } as const;

/** Side of the network's picture, and of the resized crop that it is the inside of. */
export const NETWORK_SIDE = 320;
const CROP_MARGIN = 4;
/** Pixels of the network's picture for one of the crop. */
export const NETWORK_SCALE = (NETWORK_SIDE + 2 * CROP_MARGIN) / CROP_SIDE;

/** A point of the crop → the network's picture, where whole numbers are the middles of pixels. */
export function toNetwork(crop: { readonly x: number; readonly y: number }): { x: number; y: number } {
  const at = (position: number) => position * NETWORK_SCALE - CROP_MARGIN - 0.5;
  return { x: at(crop.x), y: at(crop.y) };
}
