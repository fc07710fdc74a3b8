/** Sounds that this page has sent, for as long as it is open: the farm keeps none after a render. */

const MOST = 20;
const sounds = new Map<string, File>();

export function keepSound(renderId: string, sound: File): void {
  sounds.set(renderId, sound);
  const [oldest] = sounds.keys();
  if (sounds.size > MOST && oldest !== undefined) sounds.delete(oldest);
}

export function keptSound(renderId: string): File | undefined {
  return sounds.get(renderId);
}
