/**
 * How a video walks over its avatar's pictures: to and fro, from the last one to the first again, or once to the last
 * one, which then stays.
 */
export const BACKGROUND_MODES = ['ping-pong', 'loop', 'hold'] as const;
export type BackgroundMode = (typeof BACKGROUND_MODES)[number];

/** Of all that do not say otherwise; what is kept or sent says no mode then, as before there were any. */
export const PING_PONG: BackgroundMode = 'ping-pong';

/** The mode as requests and jobs keep it. @param wanted what a request says itself; @param usual what its model says. */
export function withMode(
  wanted: BackgroundMode | undefined,
  usual: BackgroundMode | undefined,
): { readonly backgroundMode?: BackgroundMode } {
  const backgroundMode = wanted ?? usual ?? PING_PONG;
  return backgroundMode === PING_PONG ? {} : { backgroundMode };
}
