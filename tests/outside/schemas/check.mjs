// Holds documents to the types that their makers publish: node check.mjs PACKAGES FILE.json…
// What is in a file becomes constants of those types, and TypeScript says what does not fit: wrong words, wrong types, keys
// that nobody knows. A file is a dashboard of Grafana, or a ScaledObject of KEDA.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';

const [packages, ...files] = process.argv.slice(2);
const ts = createRequire(join(packages, 'package.json'))('typescript');

const PREAMBLE = `
import type { Dashboard, Panel, RowPanel, VariableModel } from '@grafana/schema';
import type { IScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1';
// JSON has the values of enumerations, not their names.
type Written<T> = T extends string ? \`\${T}\` : T extends number ? number : T extends boolean | null | undefined ? T
  : T extends (infer U)[] ? Written<U>[] : T extends object ? { [K in keyof T]: Written<T[K]> } : T;
`;
// By its place, since the package exports these types under the names of generated files.
const PANELS = './node_modules/@grafana/schema/dist/types/raw/composable';

function source(file) {
  const document = JSON.parse(readFileSync(file, 'utf8'));
  const lines = [PREAMBLE];
  const constant = (type, value) => lines.push(`export const c${lines.length}: ${type} = ${JSON.stringify(value)};`);
  if (document.kind === 'ScaledObject') constant('IScaledObject', document);
  else dashboard(document, constant);
  return lines.join('\n');
}

function dashboard({ panels, ...rest }, constant) {
  constant('Written<Dashboard>', rest);
  for (const it of rest.templating.list) constant('Written<VariableModel>', it);
  for (const panel of panels) {
    constant(panel.type === 'row' ? 'Written<RowPanel>' : 'Written<Panel>', panel);
    if (panel.type === 'row') continue;
    const types = `import('${PANELS}/${panel.type}/panelcfg/x/types.gen')`;
    constant(`Written<${types}.Options>`, panel.options);
    const { custom } = panel.fieldConfig.defaults;
    if (custom) constant(`Written<${types}.FieldConfig>`, custom);
  }
}

// The compiler reads the sources from here and everything else from the packages.
const sources = new Map(files.map((file) => [join(packages, `${basename(file, '.json')}.check.ts`), source(file)]));
const options = {
  noEmit: true, strict: true, skipLibCheck: true, types: [], target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler,
};
const host = ts.createCompilerHost(options);
const { fileExists, readFile, getSourceFile } = host;
host.fileExists = (name) => sources.has(name) || fileExists(name);
host.readFile = (name) => sources.get(name) ?? readFile(name);
host.getSourceFile = (name, ...more) =>
  sources.has(name) ? ts.createSourceFile(name, sources.get(name), options.target) : getSourceFile(name, ...more);
const found = ts.getPreEmitDiagnostics(ts.createProgram([...sources.keys()], options, host));
for (const it of found) {
  console.error(`${basename(it.file?.fileName ?? '')}: ${ts.flattenDiagnosticMessageText(it.messageText, '\n')}`);
}
console.log(`${files.length} files, ${found.length} complaints`);
process.exit(found.length === 0 && files.length > 0 ? 0 : 1);
