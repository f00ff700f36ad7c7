// oidc-provider, an authorization server that shares no code with this library or its examples, in front of some resources:
//
//   node oidc-provider.mjs [--dpop-nonce] [--opaque ID:SECRET] RESOURCE...
//
// It prints "listening on ISSUER" when it accepts connections. Access tokens for a resource are JWTs (at+jwt, ES256), bound to a key where the client
// proves one (DPoP); with --dpop-nonce the proofs need a nonce of this server. With --opaque they are opaque, and ID may introspect them. The users and what they may have are those of examples/authserver. The
// pages are this program's: those that come with oidc-provider grant everything or nothing, and without a grant in part there is nothing to step up from.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { Provider } from 'oidc-provider';

const { values: flags, positionals: resources } = parseArgs({ options: { 'dpop-nonce': { type: 'boolean' }, opaque: { type: 'string' } }, allowPositionals: true });
const scopes = ['notes:read', 'notes:write'];
const users = { ada: 'admin', dev: 'developer', uma: 'user', rio: 'read-only' };
const maySee = (user, scope) => users[user] !== 'read-only' || scope.endsWith(':read');

const [introspector, secret] = (flags.opaque ?? '').split(/:(.*)/s);
const server = createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
const provider = new Provider(issuer, {
  jwks: { keys: [{ ...key, kid: 'e2e', use: 'sig', alg: 'ES256' }] },
  cookies: { keys: [crypto.randomUUID()] },
  scopes: ['openid', 'offline_access', ...scopes], // the TypeScript SDK registers with the scopes that it will ask for
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  ...(introspector && {
    clients: [{ client_id: introspector, client_secret: secret, redirect_uris: [], response_types: [], grant_types: [] }],
  }),
  features: {
    introspection: { enabled: Boolean(introspector), allowedPolicy: (ctx, client) => client.clientId === introspector },
    devInteractions: { enabled: false },
    dPoP: { enabled: true, ...(flags['dpop-nonce'] && { nonceSecret: randomBytes(32), requireNonce: () => true }) },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (ctx, asked) => {
        if (!resources.includes(asked)) {
          throw Object.assign(new Error('invalid_target'), { error: 'invalid_target', statusCode: 400, expose: true });
        }
        const format = introspector ? { accessTokenFormat: 'opaque' } : { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
        return { scope: scopes.join(' '), audience: asked, ...format };
      },
    },
  },
  routes: { authorization: '/authorize', registration: '/register' },
  findAccount: (ctx, sub) => (users[sub] ? { accountId: sub, claims: () => ({ sub }) } : undefined),
  extraTokenClaims: (ctx, token) => ({ roles: [users[token.accountId]] }),
  // Every authorization asks for consent; a grant from before would hide what its user did not allow then.
  loadExistingGrant: (ctx) => {
    const id = ctx.oidc.result?.consent?.grantId;
    return id ? ctx.oidc.provider.Grant.find(id) : undefined;
  },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
});
provider.on('server_error', (ctx, error) => console.error(error));
for (const event of ['authorization.error', 'grant.error', 'registration_create.error']) {
  provider.on(event, (ctx, error) => console.error(event, error.message, error.error_description ?? ''));
}

// What may be granted of what is asked: the resource's scopes that this user may have.
const asked = (prompt, params) => prompt.details.missingResourceScopes?.[params.resource] ?? [];
const offered = (prompt, params, user) => asked(prompt, params).filter((scope) => maySee(user, scope));

function page({ prompt, session, params }) {
  if (prompt.name === 'login') {
    const buttons = Object.keys(users).map((name) => `<button name="user" value="${name}">${name}</button>`);
    return `<title>Sign in</title><form method="post" action="">${buttons.join('')}</form>`;
  }
  const boxes = offered(prompt, params, session.accountId).map((scope) => `<input type="checkbox" name="scope" value="${scope}" checked>`);
  return `<title>Allow?</title><code>${session.accountId}</code><form method="post" action="">${boxes.join('')}
    <button name="decision" value="approve">Allow</button><button name="decision" value="deny">Deny</button></form>`;
}

async function decide({ prompt, session, params }, form) {
  if (prompt.name === 'login') {
    return { login: { accountId: form.get('user') } };
  }
  if (form.get('decision') !== 'approve') {
    return { error: 'access_denied', error_description: 'the user said no' };
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope((prompt.details.missingOIDCScope ?? []).join(' '));
  const allowed = offered(prompt, params, session.accountId).filter((scope) => form.getAll('scope').includes(scope));
  for (const scope of asked(prompt, params)) {
    allowed.includes(scope) ? grant.addResourceScope(params.resource, scope) : grant.rejectResourceScope(params.resource, scope);
  }
  return { consent: { grantId: await grant.save() } };
}

const callback = provider.callback();
server.on('request', async (req, res) => {
  if (!req.url.startsWith('/interaction/')) {
    return callback(req, res);
  }
  try {
    const interaction = await provider.interactionDetails(req, res);
    if (req.method === 'GET') {
      res.setHeader('Content-Type', 'text/html');
      return res.end(page(interaction));
    }
    let body = '';
    for await (const chunk of req) body += chunk;
    await provider.interactionFinished(req, res, await decide(interaction, new URLSearchParams(body)), { mergeWithLastSubmission: true });
  } catch (error) {
    console.error(error);
    res.statusCode = 500;
    res.end();
  }
});
process.stdin.on('end', () => process.exit(0)).resume();
console.log(`listening on ${issuer}`);
