/** Every key of the farm carries this hash tag, so that a cluster keeps them in one slot. BullMQ uses it as prefix. */
export const KEY_PREFIX = '{farm}';
