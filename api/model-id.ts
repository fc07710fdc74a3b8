import type { Config } from '../shared/config/load.ts';
import { FarmError } from '../shared/errors/farm-error.ts';

/**
 * The model that a request means, over every door alike: the one it names, and the only one there is when it names none.
 * FarmError('request_invalid') when it names none and there are several, or none at all.
 */
export function modelIdOf({ models }: Pick<Config, 'models'>, named: string): string {
  if (named !== '') return named;
  const [only, ...others] = models.keys();
  if (only !== undefined && others.length === 0) return only;
  const known = [...models.keys()].join(', ') || 'none is configured';
  throw new FarmError('request_invalid', `model_id: got nothing, expected one of: ${known}`);
}
