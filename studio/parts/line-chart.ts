import { svg, type TemplateResult } from 'lit-html';

const WIDTH = 240;
const HEIGHT = 48;

/** A small line of values, oldest first, from zero to their greatest. @param label what it shows, for screen readers. */
export function lineChart(
  values: readonly number[],
  { label, slots }: { label: string; slots: number },
): TemplateResult {
  const most = Math.max(1, ...values);
  const step = WIDTH / Math.max(1, slots - 1);
  const first = slots - values.length;
  const points = values.map((value, index) => {
    const y = HEIGHT - 2 - (value / most) * (HEIGHT - 6);
    return `${((first + index) * step).toFixed(1)},${y.toFixed(1)}`;
  });
  return svg`<svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${label}>
    <line x1="0" y1="${HEIGHT - 1}" x2="${WIDTH}" y2="${HEIGHT - 1}" />
    <polyline points=${points.join(' ')} />
  </svg>`;
}
