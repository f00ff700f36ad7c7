// An MCP server that knows nothing of authorization, on loopback: node server.mjs stateful|stateless
//
// It prints "listening on URL" and ends with its standard input. GET /seen tells, and forgets, what has
// come to /mcp; POST /release lets the tool "steps" go on.
import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import * as z from 'zod/v4';

const stateful = process.argv[2] === 'stateful';
const releases = new EventEmitter();
const sessions = new Map();
let seen = [];

const text = (value) => ({ content: [{ type: 'text', text: value }] });

function newServer() {
  const server = new McpServer({ name: 'upstream', version: '1.0.0' }, { capabilities: { logging: {} } });
  server.registerTool('echo', { inputSchema: { text: z.string() } }, ({ text: value }) => text(`echo ${value}`));
  server.registerTool('danger', {}, () => text('danger ran'));
  server.registerTool('forgotten', {}, () => text('forgotten ran'));
  server.registerTool('headers', {}, (extra) => text(JSON.stringify(extra.requestInfo.headers)));
  server.registerTool('steps', {}, async (extra) => {
    for (const step of [1, 2]) {
      const released = once(releases, 'release');
      await extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data: `step ${step}` } });
      await released;
    }
    return text('done');
  });
  return server;
}

async function transportOf(request) {
  const known = sessions.get(request.headers['mcp-session-id']);
  if (known) {
    return known;
  }
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: stateful ? randomUUID : undefined,
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await newServer().connect(transport);
  return transport;
}

const http = createServer(async (request, response) => {
  if (request.url === '/seen') {
    response.setHeader('Content-Type', 'application/json').end(JSON.stringify(seen));
    seen = [];
    return;
  }
  if (request.url === '/release') {
    releases.emit('release');
    response.end();
    return;
  }
  const chunks = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks).toString();
  seen.push({ method: request.method, headers: request.headers, body });
  const transport = await transportOf(request);
  await transport.handleRequest(request, response, body ? JSON.parse(body) : undefined);
});
http.listen(0, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${http.address().port}`));
process.stdin.resume().on('end', () => process.exit(0));
