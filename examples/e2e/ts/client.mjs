// One MCP client of the TypeScript SDK, driven over standard input: a command is a line of JSON, and so is its answer.
//
//   node client.mjs v1|v2 legacy|auto|REVISION ENDPOINT [dpop]
//
// With dpop (version 2 only) it holds a key, and its tokens are bound to that.
//
// Commands: {"do":"connect"}, {"do":"list"}, {"do":"call","name":...,"arguments":...}, {"do":"finish","query":...}, {"do":"close"}.
// Answers hold "value", or "error", or "authorize": the address that a person must open before the command can be repeated; "finish" takes the
// query of the redirect that this ends with. Each answer also says what was exchanged over HTTP since the one before, and the tokens that arrived,
// so that the test can look for them where they must not be. It ends with its standard input.

import { createInterface } from 'node:readline';

const [, , sdk, mode, endpoint, binding] = process.argv;
const redirectUrl = 'http://127.0.0.1:33418/callback'; // nothing listens there

const { Client, DpopSession, StreamableHTTPClientTransport, UnauthorizedError } = await load();

async function load() {
  if (sdk === 'v2') {
    return import('@modelcontextprotocol/client');
  }
  const [client, transport, auth] = await Promise.all([
    import('@modelcontextprotocol/sdk/client/index.js'),
    import('@modelcontextprotocol/sdk/client/streamableHttp.js'),
    import('@modelcontextprotocol/sdk/client/auth.js'),
  ]);
  return { ...client, ...transport, ...auth };
}

// What an application keeps for one server: registration, tokens and, between redirect and callback, the verifier.
class Provider {
  secrets = [];
  redirectUrl = redirectUrl;
  // Version 1 of the SDK answers a 403 with a refresh, which cannot widen a grant (RFC 6749, Section 6), and gives up.
  // So its applications must go without refresh tokens to step up.
  clientMetadata = {
    client_name: `TypeScript SDK ${sdk}`,
    redirect_uris: [redirectUrl],
    grant_types: sdk === 'v2' ? ['authorization_code', 'refresh_token'] : ['authorization_code'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  };

  clientInformation() { return this.information; }
  saveClientInformation(information) { this.information = information; }
  tokens() { return this.saved; }
  saveTokens(tokens) {
    this.saved = tokens;
    this.secrets.push(...[tokens.access_token, tokens.refresh_token].filter(Boolean));
  }
  saveCodeVerifier(verifier) { this.verifier = verifier; }
  codeVerifier() { return this.verifier; }
  state() { return (this.expected = crypto.randomUUID()); }
  redirectToAuthorization(url) { this.pending = url.href; }
}

class BoundProvider extends Provider {
  session = DpopSession.create();
  dpop() { return this.session; }
}

const provider = binding === 'dpop' ? new BoundProvider() : new Provider();
let exchanges = [];
let client, transport;

async function recordingFetch(input, init) {
  const url = new URL(input.url ?? input);
  const response = await fetch(input, init);
  exchanges.push({ method: init?.method ?? 'GET', path: url.pathname, status: response.status });
  return response;
}

const commands = {
  async connect() {
    const options = sdk === 'v2' ? { versionNegotiation: { mode: mode === 'legacy' || mode === 'auto' ? mode : { pin: mode } } } : {};
    client = new Client({ name: 'e2e', version: '1.0.0' }, options);
    transport = new StreamableHTTPClientTransport(new URL(endpoint), { authProvider: provider, fetch: recordingFetch });
    await client.connect(transport);
    return { revision: client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion, session: transport.sessionId ?? '' };
  },

  async list() {
    const { tools } = await client.listTools();
    return tools.map((tool) => tool.name);
  },

  async call({ name, arguments: args }) {
    const result = await client.callTool({ name, arguments: args });
    if (result.isError) {
      throw new Error(`the tool failed: ${JSON.stringify(result.content)}`);
    }
    return result.content[0].text;
  },

  async finish({ query }) {
    const callback = new URLSearchParams(query);
    if (callback.get('state') !== provider.expected) {
      throw new Error('the redirect has another state');
    }
    await transport.finishAuth(sdk === 'v2' ? callback : callback.get('code'));
    return null;
  },

  async close() {
    await transport?.terminateSession?.();
    await client?.close();
    return null;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  const answer = {};
  try {
    answer.value = await commands[command.do](command);
  } catch (error) {
    if (error instanceof UnauthorizedError && provider.pending) {
      answer.authorize = provider.pending;
    } else {
      answer.error = `${error.name}: ${error.message}`;
    }
  }
  provider.pending = undefined;
  Object.assign(answer, { exchanges, secrets: provider.secrets });
  exchanges = [];
  process.stdout.write(JSON.stringify(answer) + '\n');
}
process.exit(0); // streams may still be open
