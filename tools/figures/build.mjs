// npm ci && npm run build: writes the bundle that the package ships, and the licences of what it holds.
import {build} from 'esbuild';
import {readFileSync, writeFileSync, existsSync} from 'node:fs';

const folder = '../../src/unstuck/render/html/static/';
const result = await build({
  entryPoints: ['entry.js'],
  bundle: true,
  minify: true,
  charset: 'ascii',
  format: 'iife',
  target: 'es2021',
  legalComments: 'none',
  metafile: true,
  alias: {vega: './slim.js'},
  outfile: folder + 'figures.min.js',
});

const packages = new Set();
for (const [path, {bytesInOutput}] of Object.entries(Object.values(result.metafile.outputs)[0].inputs)) {
  const found = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path);
  if (found && bytesInOutput > 0) packages.add(found[1]);
}
const notices = [...packages].sort().map((name) => {
  const about = JSON.parse(readFileSync(`node_modules/${name}/package.json`));
  const file = ['LICENSE', 'LICENSE.md', 'LICENSE.txt'].map((end) => `node_modules/${name}/${end}`).find(existsSync);
  return `${name} ${about.version} (${about.license})\n\n${file ? readFileSync(file, 'utf8').trim() : ''}\n`;
});
const heading = 'figures.min.js holds parts of the following packages, bundled by tools/figures/build.mjs.\n';
writeFileSync(folder + 'LICENSES.txt', [heading, ...notices].join(`\n${'-'.repeat(79)}\n\n`));
console.log(`${packages.size} packages, ${Object.values(result.metafile.outputs)[0].bytes} bytes`);
