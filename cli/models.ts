import { FarmError } from '../shared/errors/farm-error.ts';
import type { ModelView } from '../shared/views/models-view.ts';
import { type FarmOptions, openFarm } from './farm-address.ts';
import { printJson } from './json-output.ts';
import type { JsonOption } from './options.ts';
import { sizeOf } from './sizes.ts';

export interface LoadCommandOptions extends FarmOptions, JsonOption {
  readonly gpu?: number;
}

/** `farm models`: a line a model, then a line a GPU. */
export async function listModels(options: FarmOptions & JsonOption): Promise<void> {
  const client = openFarm(options);
  // A key with the role "render" may see the models, and not the GPUs.
  const forbidden = (error: unknown) => {
    if (FarmError.from(error).code === 'forbidden') return { gpus: [] };
    throw error;
  };
  const [{ models }, { gpus }] = await Promise.all([client.models(), client.gpus().catch(forbidden)]);
  if (options.json) return printJson({ models, gpus });
  const width = Math.max(5, ...models.map(({ id }) => id.length));
  const lines = models.map((model) => `${model.id.padEnd(width)}  ${describe(model)}`);
  for (const { gpu, models: own, max_models, memory } of gpus) {
    const count = own.filter(({ loaded }) => loaded).length;
    if (memory) lines.push(`GPU ${gpu}: ${count} of ${max_models} models, ${memory.used_mb} of ${memory.limit_mb} MB`);
  }
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** `farm models load ID`. */
export async function loadModel(modelId: string, options: LoadCommandOptions): Promise<void> {
  const answer = await openFarm(options).loadModel(modelId, options.gpu);
  if (options.json) return printJson(answer);
  const how = answer.was_loaded ? 'was loaded' : `loaded in ${Math.round(answer.load_ms)} ms`;
  process.stdout.write(`${modelId} ${how} on GPU ${answer.gpu}\n`);
}

/** `farm models unload ID`. */
export async function unloadModel(modelId: string, options: FarmOptions & JsonOption): Promise<void> {
  const answer = await openFarm(options).unloadModel(modelId);
  if (options.json) return printJson(answer);
  process.stdout.write(`${modelId} unloaded on GPU ${answer.gpus.join(', ')}\n`);
}

/** Nothing once all pictures are prepared. */
function describePreparation(pictures: ModelView['loaded_on'][number]['pictures']): string {
  if (pictures === null || pictures.prepared === pictures.total) return '';
  return `, prepared: ${pictures.prepared} of ${pictures.total} pictures`;
}

function describe({ usable, problems, loaded_on, fetching_on, requests, average_inference_ms }: ModelView): string {
  if (!usable) return `cannot be used: ${problems.join('; ')}`;
  const where = loaded_on.map(
    ({ gpu, memory_mb, ms_per_frame, pictures }) =>
      `GPU ${gpu}: ${memory_mb} MB, ${ms_per_frame.toFixed(1)} ms/frame${describePreparation(pictures)}`,
  );
  const use = requests > 0 ? `, ${requests} requests, ${average_inference_ms?.toFixed(1)} ms each` : '';
  const but = problems.length > 0 ? `; not on every GPU: ${problems.join('; ')}` : '';
  const coming = fetching_on.map(({ gpu, ...fetching }) => `; GPU ${gpu}: ${describeFetch(fetching)}`).join('');
  return `${where.join('; ') || 'not loaded'}${use}${but}${coming}`;
}

function describeFetch({ bytes, total, fault }: Omit<ModelView['fetching_on'][number], 'gpu'>): string {
  if (fault !== null) return `files not here yet: ${fault}`;
  if (total === null) return 'files not here yet';
  return `files on their way, ${sizeOf(bytes)} of ${sizeOf(total)}`;
}
