// An MCP client of few words on top of oauth4webapi, an OAuth client that shares no code with any MCP SDK. It is driven as client.mjs is, and answers
// in the same way:
//
//   node oauth4webapi.mjs bearer|dpop ENDPOINT
//
// It keeps to the letter: metadata must name exactly this resource (RFC 9728, Section 3.3), the issuer must be the one asked for (RFC 8414,
// Section 3.3), a challenge must parse (RFC 9110, Section 11.6.1). With dpop it holds a key for the tokens, announces it (RFC 9449, Section 10), and
// repeats a request once where a server wants a nonce. It does not step up. In a session it keeps the stream of the server open until it closes.

import { createInterface } from 'node:readline';
import * as oauth from 'oauth4webapi';

const [, , binding, address] = process.argv;
const endpoint = new URL(address);
const redirectUri = 'http://127.0.0.1:33418/callback'; // nothing listens there
const revision = '2025-11-25';

let exchanges = [];
const secrets = [];
let server, client, proof, flow, token, session, stream;
let lastID = 0;

const local = {
  [oauth.allowInsecureRequests]: true, // everything is on this machine
  async [oauth.customFetch](url, init) {
    const response = await fetch(url, init);
    exchanges.push({ method: init?.method ?? 'GET', path: new URL(url).pathname, status: response.status });
    return response;
  },
};

// withNonce repeats what a server answered with the wish for a nonce. The handle has kept the nonce by then, and makes another proof.
async function withNonce(request) {
  try {
    return await request();
  } catch (error) {
    if (!proof || !oauth.isDPoPNonceError(error)) {
      throw error;
    }
    return request();
  }
}

async function discover() {
  // Without a token: nothing but a challenge is the answer.
  const refused = await local[oauth.customFetch](endpoint.href, message('initialize', initialize));
  if (refused.status !== 401) {
    throw new Error(`status ${refused.status} without a token`);
  }
  await refused.body?.cancel();
  const resource = await oauth.processResourceDiscoveryResponse(endpoint, await oauth.resourceDiscoveryRequest(endpoint, local));
  const issuer = new URL(resource.authorization_servers[0]);
  server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { ...local, algorithm: 'oauth2' }));
  const registration = await oauth.dynamicClientRegistrationRequest(server, {
    client_name: 'oauth4webapi', redirect_uris: [redirectUri], token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code'], response_types: ['code'], dpop_bound_access_tokens: binding === 'dpop',
  }, local);
  client = await oauth.processDynamicClientRegistrationResponse(registration);
  if (binding === 'dpop') {
    proof = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));
  }
  return resource;
}

async function authorizationURL(resource) {
  flow = { resource: resource.resource, verifier: oauth.generateRandomCodeVerifier(), state: oauth.generateRandomState() };
  const url = new URL(server.authorization_endpoint);
  const parameters = {
    response_type: 'code', client_id: client.client_id, redirect_uri: redirectUri, scope: resource.scopes_supported.join(' '), state: flow.state,
    code_challenge: await oauth.calculatePKCECodeChallenge(flow.verifier), code_challenge_method: 'S256', resource: flow.resource,
    ...(proof && { dpop_jkt: await proof.calculateThumbprint() }),
  };
  for (const [name, value] of Object.entries(parameters)) {
    url.searchParams.set(name, value);
  }
  return url.href;
}

const initialize = { protocolVersion: revision, capabilities: {}, clientInfo: { name: 'e2e', version: '1.0.0' } };

function message(method, params, id) {
  const headers = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' };
  return { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', id, method, params }) };
}

async function resourceRequest(method, headers, body) {
  headers = new Headers({ ...headers, ...(session && { 'Mcp-Session-Id': session }), ...(lastID > 1 && { 'MCP-Protocol-Version': revision }) });
  return withNonce(() => oauth.protectedResourceRequest(token, method, endpoint, headers, body, { ...local, DPoP: proof }));
}

// ask sends a request, or without an id a notification, and returns the result.
async function ask(method, params, id = ++lastID) {
  const { headers, body } = message(method, params, id ?? undefined);
  const response = await resourceRequest('POST', headers, body);
  session ??= response.headers.get('mcp-session-id') ?? undefined;
  const text = await response.text();
  if (!response.ok) {
    throw new Error(`status ${response.status}`);
  }
  if (id === null) {
    return undefined;
  }
  const answers = response.headers.get('content-type').startsWith('text/event-stream')
    ? text.split(/\r?\n/).filter((line) => line.startsWith('data:') && line.length > 6).map((line) => JSON.parse(line.slice(5)))
    : [JSON.parse(text)];
  const answer = answers.find((candidate) => candidate.id === id);
  if (answer.error) {
    throw new Error(answer.error.message);
  }
  return answer.result;
}

const commands = {
  async connect() {
    if (!token) {
      return { authorize: await authorizationURL(await discover()) };
    }
    const { protocolVersion } = await ask('initialize', initialize);
    await ask('notifications/initialized', undefined, null);
    if (session) {
      const { status, headers, body } = await resourceRequest('GET', { Accept: 'text/event-stream' });
      if (status !== 200 || !headers.get('content-type')?.startsWith('text/event-stream')) {
        throw new Error(`status ${status} for the stream`);
      }
      stream = { open: true, ended: body.pipeTo(new WritableStream()).finally(() => (stream.open = false)) };
    }
    return { value: { revision: protocolVersion, session: session ?? '' } };
  },

  async finish({ query }) {
    const parameters = oauth.validateAuthResponse(server, client, new URLSearchParams(query), flow.state);
    const response = await withNonce(async () => {
      const answer = await oauth.authorizationCodeGrantRequest(server, client, oauth.None(), parameters, redirectUri, flow.verifier,
        { ...local, DPoP: proof, additionalParameters: { resource: flow.resource } });
      return oauth.processAuthorizationCodeResponse(server, client, answer);
    });
    if (response.token_type !== binding) {
      throw new Error(`a token of type ${response.token_type}`);
    }
    token = response.access_token;
    secrets.push(token);
    return { value: null };
  },

  async list() {
    const { tools } = await ask('tools/list', {});
    return { value: tools.map((tool) => tool.name) };
  },

  async call({ name, arguments: args }) {
    const result = await ask('tools/call', { name, arguments: args ?? {} });
    if (result.isError) {
      throw new Error(`the tool failed: ${JSON.stringify(result.content)}`);
    }
    return { value: result.content[0].text };
  },

  async close() {
    if (session) {
      if (!stream.open) {
        throw new Error('the stream ended before the session');
      }
      const { status } = await resourceRequest('DELETE', {});
      if (status >= 300) {
        throw new Error(`status ${status} for the end of the session`);
      }
      await stream.ended;
    }
    return { value: null };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = await commands[command.do](command);
  } catch (error) {
    answer = { error: `${error.name}: ${error.message}` };
    if (error instanceof oauth.WWWAuthenticateChallengeError) {
      answer.error += ` ${error.status} ${JSON.stringify(error.cause)}`;
    }
  }
  Object.assign(answer, { exchanges, secrets });
  exchanges = [];
  process.stdout.write(JSON.stringify(answer) + '\n');
}
process.exit(0); // the stream may still be open
