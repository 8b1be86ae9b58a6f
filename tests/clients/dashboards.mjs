// Dashboards, held against Grafana's own model of them: the types of `@grafana/schema`, by TypeScript.
//
//     node dashboards.mjs FILE…
//
// Each dashboard is checked as a literal: a member that Grafana does not know, a value of another type or a word that is none of an
// enumeration is a fault, told with its place. What Grafana fills in by itself (options of a panel) may be left out. What a panel
// asks Prometheus is not in that package: its members are listed here.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import ts from 'typescript';

const schema = path.join(path.dirname(createRequire(import.meta.url).resolve('@grafana/schema/package.json')), 'dist/types');

// Each kind of panel that there is in a dashboard of ours.
const PANELS = ['heatmap', 'stat', 'statetimeline', 'table', 'timeseries'];

const HEAD = `
import type * as model from '@grafana/schema/dashboard';
import type { TableFieldOptions } from '@grafana/schema';
${PANELS.map((kind) => `import type * as ${kind} from '@grafana/schema/${kind}';`).join('\n')}

type Some<T> = T extends (infer E)[] ? Some<E>[] : T extends object ? { [K in keyof T]?: Some<T[K]> } : T;
interface Query {
    refId: string; datasource: model.DataSourceRef; expr: string; editorMode?: 'code' | 'builder'; legendFormat?: string;
    format?: 'time_series' | 'table' | 'heatmap'; instant?: boolean; range?: boolean; interval?: string; hide?: boolean; exemplar?: boolean;
}
type PanelOf<Kind, Options, Custom> = Omit<model.Panel, 'type' | 'options' | 'fieldConfig' | 'targets'> & {
    type: Kind; options?: Some<Options>; targets: Query[];
    fieldConfig?: Omit<model.FieldConfigSource, 'defaults'> & { defaults: Omit<model.FieldConfig, 'custom'> & { custom?: Some<Custom> } };
};
type Panels = {
    row: model.RowPanel; heatmap: PanelOf<'heatmap', heatmap.Options, heatmap.FieldConfig>; stat: PanelOf<'stat', stat.Options, {}>;
    'state-timeline': PanelOf<'state-timeline', statetimeline.Options, statetimeline.FieldConfig>;
    table: PanelOf<'table', table.Options, TableFieldOptions>; timeseries: PanelOf<'timeseries', timeseries.Options, timeseries.FieldConfig>;
};
// Grafana takes the question of a mark, and the definition of a menu, as they are here; its types do not list them.
type Mark = model.AnnotationQuery & { expr?: string; titleFormat?: string; textFormat?: string; tagKeys?: string; step?: string; useValueForTime?: boolean };
type Menu = model.VariableModel & { definition?: string };
type Rest = Omit<model.Dashboard, 'panels' | 'annotations' | 'templating'> & { annotations?: { list: Mark[] }; templating?: { list: Menu[] } };
`;

// JSON has the values of enumerations and not their members: each becomes a union of its values, whose members keep their names.
function withoutEnums(text) {
    const values = {};
    const unions = text.replace(/export declare enum (\w+) \{([^}]*)\}/g, (_, name, body) => {
        const members = [...body.replace(/\/\*[^]*?\*\//g, '').matchAll(/["']?([\w-]+)["']? = ("[^"]*"|-?\d+)/g)];
        values[name] = Object.fromEntries(members.map(([, member, value]) => [member, value]));
        return `export type ${name} = ${Object.values(values[name]).join(' | ')};`;
    });
    return unions.replace(/\b(\w+)\.(\w+)\b/g, (all, name, member) => values[name]?.[member] ?? all);
}

const places = {
    '@grafana/schema': 'index.d.ts',
    '@grafana/schema/dashboard': 'veneer/dashboard.types.d.ts',
    ...Object.fromEntries(PANELS.map((kind) => [`@grafana/schema/${kind}`, `raw/composable/${kind}/panelcfg/x/types.gen.d.ts`])),
};

const options = { strict: true, noEmit: true, skipLibCheck: false, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler, types: [] };

// What is wrong in a source, and in the types themselves.
function faultsIn(name, text) {
    const host = ts.createCompilerHost(options);
    const { getSourceFile, fileExists } = host;
    host.fileExists = (file) => file === name || fileExists(file);
    host.getSourceFile = (file, version) => {
        if (file === name) return ts.createSourceFile(file, text, version);
        if (file.startsWith(schema)) return ts.createSourceFile(file, withoutEnums(readFileSync(file, 'utf8')), version);
        return getSourceFile.call(host, file, version);
    };
    host.resolveModuleNames = (names, from) => names.map((wanted) => {
        const file = places[wanted] ? path.join(schema, places[wanted]) : path.join(path.dirname(from), `${wanted}.d.ts`);
        return { resolvedFileName: file, isExternalLibraryImport: false };
    });
    const program = ts.createProgram([name], options, host);
    return ts.getPreEmitDiagnostics(program).map((fault) => {
        const said = ts.flattenDiagnosticMessageText(fault.messageText, ' ');
        const line = fault.file ? fault.file.getLineAndCharacterOfPosition(fault.start).line : 0;
        const shown = fault.file ? fault.file.text.split('\n')[line].trim() : '';
        return `${fault.file?.fileName ?? ''}:${line + 1}: ${said} (${shown})`;
    });
}

// Panels by themselves, so that a fault is of one kind of panel.
function source(dashboard) {
    const { panels, ...rest } = dashboard;
    const literal = (name, type, value) => `export const ${name}: ${type} = ${JSON.stringify(value, null, 1)};\n`;
    const each = panels.map((panel, index) => literal(`panel_${panel.id ?? index}`, `Panels['${panel.type}']`, panel));
    return HEAD + literal('rest', 'Rest', rest) + each.join('');
}

let count = 0;
const files = process.argv.slice(2);
if (files.length === 0) throw new Error('which dashboards?');
for (const file of files) {
    const dashboard = JSON.parse(readFileSync(file, 'utf8'));
    const faults = faultsIn(path.join(import.meta.dirname, `${path.basename(file, '.json')}.ts`), source(dashboard));
    faults.forEach((fault) => console.log(fault));
    count += faults.length;
    console.log(`${path.basename(file)}: ${dashboard.panels.length} panels, ${faults.length} faults`);
}
process.exit(count === 0 ? 0 : 1);
