// The TypeScript SDK of the second generation, both eras: node typescript_v2.mjs URL ADMIN REVISION

import { generation } from './generations.mjs';
import { run } from './harness.mjs';
import { typescriptChecks } from './typescript_checks.mjs';

const MODERN = '2026-07-28';
const [url, admin, revision] = process.argv.slice(2);
const isModern = revision === MODERN;

typescriptChecks({ sdk: await generation('v2', isModern, revision), url, admin, era: isModern ? 'modern' : 'legacy', revision });
await run();
