import { PlainCompositor } from './plain-compositor.ts';

/** The compositor that a thread uses. */
export class Compositor extends PlainCompositor {}
