/** What the drawings share: an SVG document that follows the colours of its page and can be read aloud, and a time axis. */

export interface Drawing {
  readonly width: number;
  readonly height: number;
  /** What it is, in a line. */
  readonly title: string;
  /** What it shows, for who cannot see it. */
  readonly description: string;
  /** Rules for the classes of the body, with the colours as variables. */
  readonly style: string;
  readonly body: string;
}

const COLOURS = {
  light: { page: '#ffffff', ink: '#1f2328', soft: '#59636e', line: '#d8dee4', pale: '#afb8c1' },
  dark: { page: '#0d1117', ink: '#e6edf3', soft: '#9aa4af', line: '#2b323a', pale: '#4d5661' },
} as const;
/** Told apart by people who see fewer colours, too; each is clear on both pages. */
const HUES = {
  light: { blue: '#0072b2', sky: '#3a9bd9', green: '#00875f', orange: '#c98500', red: '#c44e00', pink: '#b4568f' },
  dark: { blue: '#4da3d9', sky: '#8ccbf2', green: '#2bb78c', orange: '#e8a92e', red: '#f07b3a', pink: '#d98bb8' },
} as const;
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';

/** The whole file. */
export function svgDocument({ width, height, title, description, style, body }: Drawing): string {
  const names = 'role="img" aria-labelledby="title description"';
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ${names}>
<title id="title">${escaped(title)}</title>
<desc id="description">${escaped(description)}</desc>
<style>
:root{${variables('light')}}
@media(prefers-color-scheme:dark){:root{${variables('dark')}}}
text{font:13px ${FONT};fill:var(--ink)}.soft{fill:var(--soft)}.heading{font-size:15px;font-weight:600}
.line{stroke:var(--line);stroke-width:1}.end{text-anchor:end}.middle{text-anchor:middle}
${style}
</style>
<rect width="${width}" height="${height}" fill="var(--page)"/>
${body}
</svg>
`;
}

/** Text as XML takes it. Control characters become spaces. */
export function escaped(text: string): string {
  const names: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replace(/\p{Cc}/gu, ' ').replace(/[&<>"]/g, (character) => names[character] ?? character);
}

/** A number as short as a picture needs it. */
export function short(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** Where a length of time lies on a drawing. */
export interface TimeAxis {
  readonly left: number;
  readonly width: number;
  /** Seconds from the left end to the right end, above 0. */
  readonly seconds: number;
}

/** Lines at round times from `top` to `bottom`, with the times below. */
export function drawTimes({ left, width, seconds }: TimeAxis, top: number, bottom: number): string {
  const step = roundStep(seconds / 8);
  const marks: string[] = [];
  for (let at = 0; at * step <= seconds * 1.0001; at++) {
    const x = short(left + (width * at * step) / seconds);
    marks.push(`<line class="line" x1="${x}" x2="${x}" y1="${short(top)}" y2="${short(bottom)}"/>`);
    marks.push(`<text class="soft middle" x="${x}" y="${short(bottom + 18)}">${timeText(at * step, step)}</text>`);
  }
  return marks.join('\n');
}

/** The smallest of 1, 2, 5 times a power of ten seconds, or of some parts of a minute, that is no less. */
function roundStep(least: number): number {
  const minutes = [15, 30, 60, 120, 300, 600, 1800, 3600].find((step) => step >= least);
  if (least > 10) return minutes ?? Math.ceil(least / 3600) * 3600;
  const power = 10 ** Math.floor(Math.log10(least));
  return ([1, 2, 5, 10].find((times) => times * power >= least * 0.9999) ?? 10) * power;
}

/** 0.4 s, 12 s, 3:20. */
function timeText(seconds: number, step: number): string {
  if (step > 10) return `${Math.floor(seconds / 60)}:${String(Math.round(seconds % 60)).padStart(2, '0')}`;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return `${seconds.toFixed(digits)} s`;
}

function variables(page: 'light' | 'dark'): string {
  return Object.entries({ ...COLOURS[page], ...HUES[page] })
    .map(([name, colour]) => `--${name}:${colour}`)
    .join(';');
}
