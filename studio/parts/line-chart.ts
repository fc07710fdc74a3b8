import { svg, type TemplateResult } from 'lit-html';

const WIDTH = 240;
const HEIGHT = 48;

/** Values at times; null where there was none, which breaks the line. */
export interface Course {
  readonly times: readonly string[];
  readonly values: readonly (number | null)[];
  /** How far back from the latest time it is drawn. */
  readonly minutes: number;
}

/** The greatest of the values, 0 without any. */
export function mostOf({ values }: Course): number {
  return Math.max(0, ...values.map((value) => value ?? 0));
}

/** A small line of values, from zero to their greatest. @param label what it shows, for screen readers. */
export function lineChart(course: Course, label: string): TemplateResult {
  return svg`<svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${label}>
    <line x1="0" y1="${HEIGHT - 1}" x2="${WIDTH}" y2="${HEIGHT - 1}" />
    <path d=${pathOf(course)} />
  </svg>`;
}

function pathOf(course: Course): string {
  const { times, values, minutes } = course;
  const most = Math.max(1, mostOf(course));
  const endMs = Date.parse(times.at(-1) ?? '');
  let isDown = false;
  return values
    .flatMap((value, at) => {
      if (value === null) {
        isDown = false;
        return [];
      }
      const x = WIDTH * (1 - (endMs - Date.parse(times[at] ?? '')) / (minutes * 60_000));
      const y = HEIGHT - 2 - (value / most) * (HEIGHT - 6);
      const place = `${x.toFixed(1)} ${y.toFixed(1)}`;
      // A value without neighbours is a dot.
      const step = isDown ? `L${place}` : `M${place}h0`;
      isDown = true;
      return step;
    })
    .join('');
}
