/** The conversion of whole pictures and of areas, alone: `plane-converter.ts` lays out its memory. */
export { convertRows } from './planes.as';
