/** The report of an avatar as one HTML file that needs nothing beside it and loads nothing from elsewhere. */

import { FARM_VERSION } from '../../shared/version.ts';
import type { Finding } from '../avatar/finding.ts';
import { escaped } from '../quality/drawing.ts';
import type { AvatarReport, Fact, ReportPictures, ReportPreview, ShownPicture } from './contract.ts';
import { type NumberRow, numberRows } from './numbers.ts';
import { PAGE_STYLE } from './page-style.ts';
import { drawRectCurves } from './rect-curves.ts';

const FILLED_CODES = ['landmarks_missing', 'landmarks_unreadable', 'rects_outside'];
const VERDICTS = { good: 'good', look: 'look at it', unknown: '–' } as const;

/** A whole HTML document. */
export function reportPage(report: AvatarReport): string {
  const { modelId, made, facts, findings, pictures, preview } = report;
  const title = `${made === 'import' ? 'Import' : 'Check'} of ${escaped(modelId)}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<main>
<h1>${title}</h1>
<p class="soft">${escaped(summaryOf(report))}</p>
${findingsSection(findings)}
${pictures ? picturesSection(pictures) : ''}
${preview ? previewSection(preview) : '<p>No preview was rendered, so nothing is said of mouth, seam and silence.</p>'}
${pictures ? curvesSection(pictures, modelId, findings) : ''}
${factsSection(facts)}
</main>
<footer class="soft">Made by Lipsync Farm ${escaped(FARM_VERSION)} on ${dateOf(report.madeAt)}. What the numbers mean: docs/quality.md; what an avatar is made of: docs/avatars.md.</footer>
</body>
</html>
`;
}

/** 2026-11-28 04:37 UTC */
function dateOf(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

function summaryOf({ findings, pictures, preview }: AvatarReport): string {
  const of = pictures
    ? `${pictures.rects.length} pictures of ${pictures.size.width}×${pictures.size.height}`
    : 'no pictures';
  const spoken = preview ? `, ${preview.frames} frames of speech rendered` : '';
  const count = findings.length === 1 ? '1 thing to look at' : `${findings.length} things to look at`;
  return `${of}${spoken}, ${findings.length === 0 ? 'nothing unusual found' : count}.`;
}

function findingsSection(findings: readonly Finding[]): string {
  if (findings.length === 0) return '<section><h2>Warnings</h2><p class="good">None.</p></section>';
  const items = findings.map(({ code, text }) => `<li><p>${sentence(text)}</p><code>${escaped(code)}</code></li>`);
  return `<section><h2>Warnings</h2><ul class="warnings">${items.join('\n')}</ul></section>`;
}

function picturesSection({ size, shown, rects }: ReportPictures): string {
  const figures = shown.map((picture) => pictureFigure(picture, size));
  const which = shown.length === rects.length ? 'All of them' : `${shown.length} of ${rects.length}`;
  return `<section><h2>Pictures and crop rects</h2>
<p>${which}. The rect goes from cheek to cheek, from the bridge of the nose to the chin; the network draws what is inside.</p>
<div class="pictures">${figures.join('\n')}</div></section>`;
}

/** The rect is drawn over the picture, in the picture's own pixels, so it stays sharp at any size. */
function pictureFigure({ number, why, rect, jpeg }: ShownPicture, { width, height }: ReportPictures['size']): string {
  const { x1, y1, x2, y2 } = rect;
  const place = `[${x1}, ${y1}, ${x2}, ${y2}]`;
  const box = `x="${x1}" y="${y1}" width="${x2 - x1}" height="${y2 - y1}"`;
  const label = `Picture ${number} with its crop rect ${place}`;
  return `<figure><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">
<image href="${jpegData(jpeg)}" width="${width}" height="${height}" preserveAspectRatio="none"/>
<rect class="below" ${box}/><rect class="above" ${box}/></svg>
<figcaption>${number}${why ? `, ${escaped(why)}` : ''} <span class="soft">${place}, ${x2 - x1} px</span></figcaption></figure>`;
}

function previewSection({ quality, waveform, shots, frames, video }: ReportPreview): string {
  const film =
    video === undefined ? '' : ` <a href="${encodeURIComponent(video)}">${escaped(video)}</a> lies beside this page.`;
  const rows = numberRows(quality).map(numberRow).join('\n');
  return `<section><h2>Mouth, seam and silence</h2>
<p>Measured over ${frames} frames of speech. A number is a hint: compare it with what you see and hear.${film}</p>
<div class="wide" tabindex="0" role="region" aria-label="Numbers of the preview"><table>
<thead><tr><th scope="col">number</th><th scope="col">here</th><th scope="col">good</th><th scope="col">verdict</th></tr></thead>
<tbody>${rows}</tbody></table></div>
<h3>Mouth under the voice</h3>
${drawing(waveform, 'How loud the voice is, and under it how far the mouth is open')}
<h3>Frames of the preview</h3>
<div class="pictures">${shots.map(shotFigure).join('\n')}</div></section>`;
}

function shotFigure({ atSeconds, jpeg }: ReportPreview['shots'][number]): string {
  const at = `${atSeconds.toFixed(2)} s`;
  return `<figure><img src="${jpegData(jpeg)}" alt="The preview at ${at}"><figcaption>${at}</figcaption></figure>`;
}

function numberRow({ name, value, good, verdict }: NumberRow): string {
  return `<tr><th scope="row">${name}</th><td>${value}</td><td>${good}</td><td class="${verdict}">${VERDICTS[verdict]}</td></tr>`;
}

function curvesSection(pictures: ReportPictures, modelId: string, findings: readonly Finding[]): string {
  const filled = findings.flatMap(({ code, pictures }) => (FILLED_CODES.includes(code) ? pictures : []));
  const note = filled.length > 0 ? ' Pictures whose rects were filled are marked.' : '';
  return `<section><h2>The rects from picture to picture</h2>
<p>A face moves smoothly: a step is a jump of the landmarks.${note}</p>
${drawing(drawRectCurves(pictures, modelId, filled), 'Left edge, top edge and width of the crop rects over the pictures')}</section>`;
}

function factsSection(facts: readonly Fact[]): string {
  const rows = facts.map(({ subject, text }) => `<div><dt>${escaped(subject)}</dt><dd>${escaped(text)}</dd></div>`);
  return `<section><h2>What was found and chosen</h2><dl>${rows.join('\n')}</dl></section>`;
}

/** A drawing that is wider than a phone scrolls by itself. */
function drawing(svg: string, what: string): string {
  const source = `data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}`;
  return `<div class="wide" tabindex="0" role="region" aria-label="${what}"><img src="${source}" alt="${what}"></div>`;
}

function jpegData(jpeg: Buffer): string {
  return `data:image/jpeg;base64,${jpeg.toString('base64')}`;
}

function sentence(text: string): string {
  return escaped(`${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`);
}
