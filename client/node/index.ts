/** The client of a farm for Node, with what needs a disk. */

export * from '../index.ts';
export { NodeFarmClient } from './farm-client.ts';
export { footageOf } from './footage.ts';
