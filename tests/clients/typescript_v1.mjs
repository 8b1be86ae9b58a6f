// The TypeScript SDK of the first generation (legacy only, 2024-11-05 over HTTP+SSE): node typescript_v1.mjs URL ADMIN REVISION

import { generation } from './generations.mjs';
import { run } from './harness.mjs';
import { typescriptChecks } from './typescript_checks.mjs';

const [url, admin, revision] = process.argv.slice(2);
typescriptChecks({ sdk: await generation('v1', false, revision), url, admin, era: 'legacy', revision });
await run();
