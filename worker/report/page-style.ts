/** How the report looks, in light and dark, on a phone and on a desk. */
export const PAGE_STYLE = `
:root{color-scheme:light dark;--page:#fff;--ink:#1f2328;--soft:#59636e;--line:#d8dee4;--card:#f6f8fa;--good:#1a7f37;--look:#b54500}
@media(prefers-color-scheme:dark){:root{--page:#0d1117;--ink:#e6edf3;--soft:#9aa4af;--line:#2b323a;--card:#161b22;--good:#3fb950;--look:#f0883e}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main,footer{max-width:70rem;margin:0 auto;padding:1rem}
h1{font-size:1.6rem;margin:.5rem 0 0;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2rem 0 .5rem}
h3{font-size:1rem;margin:1.5rem 0 .5rem}
p{margin:.25rem 0 .75rem}
.soft{color:var(--soft)}.good{color:var(--good)}.look{color:var(--look);font-weight:600}.unknown{color:var(--soft)}
.warnings{list-style:none;margin:0;padding:0;display:grid;gap:.5rem}
.warnings li{border-left:4px solid var(--look);background:var(--card);padding:.5rem .75rem;overflow-wrap:anywhere}
.warnings p{margin:0}
code{color:var(--soft);font-size:.85rem}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,20rem),1fr));gap:1rem}
figure{margin:0}
figure svg,figure img{display:block;width:100%;height:auto;max-height:26rem;object-fit:contain;background:var(--card)}
a{color:inherit}
figure rect{fill:none;vector-effect:non-scaling-stroke}
figure .below{stroke:#000;stroke-width:4}
figure .above{stroke:#ffd33d;stroke-width:2}
figcaption{font-size:.9rem;margin-top:.25rem}
.wide{overflow-x:auto}
.wide img{display:block;min-width:46rem;width:100%;height:auto}
table{border-collapse:collapse;width:100%;min-width:34rem}
th,td{border-bottom:1px solid var(--line);padding:.4rem .75rem .4rem 0;text-align:left;vertical-align:top}
tbody th{font-weight:400}
dl{margin:0}
dl div{display:grid;grid-template-columns:8rem 1fr;gap:.5rem;border-bottom:1px solid var(--line);padding:.4rem 0}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
@media(max-width:40rem){dl div{grid-template-columns:1fr;gap:0}}
`;
