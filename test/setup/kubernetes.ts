import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv, type ValidateFunction } from 'ajv';
import { parse, parseAllDocuments } from 'yaml';

/** The manifests for a cluster, as files and as kustomize builds them. */

export const FOLDER = fileURLToPath(new URL('../../docs/ops/kubernetes', import.meta.url));
export const LAYERS = ['base', ...readdirSync(path.join(FOLDER, 'overlays')).map((name) => `overlays/${name}`)];

/** A manifest, with the parts that tests look into. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec?: Spec;
  readonly data?: Readonly<Record<string, string>>;
}

interface Spec {
  readonly selector?: { readonly matchLabels?: Labels } & Labels;
  readonly template?: { readonly metadata: { readonly labels: Labels }; readonly spec: PodSpec };
  readonly ports?: readonly { readonly targetPort: string }[];
  readonly podSelector?: { readonly matchLabels?: Labels };
  readonly ingress?: readonly { readonly ports?: readonly { readonly port: string }[] }[];
  readonly scaleTargetRef?: { readonly kind: string; readonly name: string };
  readonly triggers?: readonly { readonly metadata: { readonly query: string } }[];
}
type Labels = Readonly<Record<string, string>>;

export interface PodSpec {
  readonly terminationGracePeriodSeconds?: number;
  readonly containers: readonly Container[];
  readonly volumes?: readonly { readonly name: string; readonly configMap?: { readonly name: string } }[];
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly envFrom?: readonly { readonly secretRef: { readonly name: string } }[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
  readonly lifecycle?: { readonly preStop?: { readonly exec: { readonly command: readonly string[] } } };
  readonly resources?: { readonly limits?: Labels; readonly requests?: Labels };
  readonly [probe: string]: unknown;
}

export interface Kustomization {
  readonly resources: readonly string[];
  readonly patches?: readonly { readonly path: string }[];
  readonly configMapGenerator?: readonly { readonly files: readonly string[] }[];
}

const schemas = JSON.parse(readFileSync(new URL('./fixtures/kubernetes.json', import.meta.url), 'utf8')) as {
  readonly kinds: Readonly<Record<string, string>>;
  readonly $defs: Readonly<Record<string, object>>;
};
const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
ajv.addSchema({ $id: 'kubernetes', $defs: schemas.$defs });
const validators = new Map<string, ValidateFunction>();

/** What is wrong with a manifest by the published schema of its kind; one line each. */
export function violationsOf({ apiVersion, kind, ...rest }: Partial<Manifest>): string[] {
  const name = schemas.kinds[`${apiVersion}/${kind}`];
  if (!name) return [`no schema of ${apiVersion}/${kind}`];
  let validate = validators.get(name);
  if (!validate) {
    validate = ajv.compile({ $ref: `kubernetes#/$defs/${name}` });
    validators.set(name, validate);
  }
  if (validate({ apiVersion, kind, ...rest })) return [];
  return (validate.errors ?? []).map(({ instancePath, message, params }) =>
    [instancePath, message, JSON.stringify(params)].join(' '),
  );
}

export function readKustomization(layer: string): Kustomization {
  return parse(readFileSync(path.join(FOLDER, layer, 'kustomization.yaml'), 'utf8')) as Kustomization;
}

export function readManifests(file: string): Manifest[] {
  return manifestsIn(readFileSync(path.join(FOLDER, file), 'utf8'));
}

/** What is written in a layer, and in those that it is over. */
export function resourcesOf(layer: string): Manifest[] {
  return readKustomization(layer).resources.flatMap((resource) => {
    const place = path.join(layer, resource);
    return existsSync(path.join(FOLDER, place, 'kustomization.yaml')) ? resourcesOf(place) : readManifests(place);
  });
}

/** What reaches the cluster; undefined where there is neither kubectl nor kustomize. */
export function build(layer: string): Manifest[] | undefined {
  for (const [command, ...words] of [
    ['kubectl', 'kustomize'],
    ['kustomize', 'build'],
  ] as const) {
    try {
      const text = execFileSync(command, [...words, path.join(FOLDER, layer)], { encoding: 'utf8', timeout: 60_000 });
      return manifestsIn(text);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return undefined;
}

function manifestsIn(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => document.toJS() as Manifest);
}
