// Loaded before another program (node --import), this writes down what the program exchanges over HTTP: a line of JSON for each answer, in the file that
// MCPAUTH_E2E_EXCHANGES names. It listens to undici, which is Node's own fetch and that of the programs that bring their own.

import { subscribe } from 'node:diagnostics_channel';
import { appendFileSync } from 'node:fs';

const file = process.env.MCPAUTH_E2E_EXCHANGES;

function header(request, name) {
  const at = request.headers.findIndex((value, i) => i % 2 === 0 && String(value).toLowerCase() === name);
  return at < 0 ? '' : String(request.headers[at + 1]);
}

subscribe('undici:request:headers', ({ request, response }) => {
  const line = {
    method: request.method,
    path: request.path.split('?')[0],
    status: response.statusCode,
    revision: header(request, 'mcp-protocol-version'),
    session: header(request, 'mcp-session-id'),
    secret: header(request, 'authorization').replace(/^bearer /i, ''),
  };
  appendFileSync(file, `${JSON.stringify(line)}\n`);
});
