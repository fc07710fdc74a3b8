/** The conversion of whole pictures and of areas, alone: `plane-kernel.ts` lays out its memory. */
export { convertRows } from './planes.as';
