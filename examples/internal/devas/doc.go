// Package devas is an OAuth 2.1 authorization server for development, embedded in the example programs so that a protected MCP server can be tried
// without signing up anywhere.
//
// It is not for production, and it tries to be useless there: it listens on loopback addresses only, makes a fresh signing key at every start, forgets
// everything when it stops (unless it is told to keep its state in a file), and signs anybody in as any of its ready users without a password.
//
// Apart from that it behaves as clients may expect of a careful server: authorization code with PKCE S256 only, resource indicators (RFC 8707), iss in
// authorization responses (RFC 9207), access tokens of type at+jwt (RFC 9068) for one resource, rotating refresh tokens whose reuse ends the grant,
// DPoP with nonces (RFC 9449), client ID metadata documents, dynamic registration (RFC 7591), client credentials for agents, identity assertions of
// trusted identity providers (ID-JAG, MCP's Enterprise-Managed Authorization; none by default), introspection (RFC 7662) and revocation (RFC 7009). An issued scope is always the intersection of what was asked, what the resource knows, what the client may have, what the
// user's roles allow and what the user left ticked on the consent page.
//
// The protocol core is github.com/luikyv/go-oidc; the files of this package are what it leaves to its user: store.go (state), policy.go (sign-in and
// consent), grants.go (grants and opaque tokens), wrapper.go and the endpoint files beside it (what is refused or mended before and after the library), proof.go (DPoP), documents.go (client
// ID metadata documents), assertion.go and providers.go (identity assertions), model.go and the files that it names (what administrators see and change), persist.go (the file), pages.go (HTML).
package devas
