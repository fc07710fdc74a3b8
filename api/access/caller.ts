import { setMaxListeners } from 'node:events';
import { type KeyLimits, NO_LIMITS, ROLES, type Role } from '../../shared/api-keys.ts';

/** Whose request it is, and what he may do. */
export interface Caller {
  /** Name of the key, which owns the renders made with it; undefined while the farm has no keys. */
  readonly keyName: string | undefined;
  readonly role: Role;
  /** One of `auth.api_keys`: they share what they always shared. */
  readonly isPlain: boolean;
  readonly limits: KeyLimits;
  /** Aborted with FarmError('unauthorised') when the key is removed or gets another role: what runs for it must end. */
  readonly revoked: AbortSignal;
}

const NEVER = new AbortController().signal;
// As many calls listen as run.
setMaxListeners(0, NEVER);

/** Everybody, while the farm has no keys. */
export const ANYBODY: Caller = {
  keyName: undefined,
  role: 'admin',
  isPlain: false,
  limits: NO_LIMITS,
  revoked: NEVER,
};

/** Whether a role may do what needs another one. */
export function mayDo(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

/** Whether the caller may see, cancel and remove the renders of all keys, and those made without one. */
export function seesAll({ role }: Caller): boolean {
  return mayDo(role, 'operate');
}

/** Whether the caller may know of a render. @param owner name of the key that made it; undefined for none. */
export function maySee(caller: Caller, owner: string | undefined): boolean {
  return seesAll(caller) || (owner !== undefined && owner === caller.keyName);
}
