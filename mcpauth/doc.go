// Package mcpauth turns an MCP server into an OAuth 2.1 protected resource, as the authorization part
// of the Model Context Protocol asks for.
//
// Most servers need this much:
//
//	auth, err := mcpauth.New(mcpauth.Config{
//		Resource: "https://mcp.example.com/mcp",
//		Issuers:  []mcpauth.Issuer{{URL: "https://login.example.com"}},
//		BaseScopes: []string{"files:read"}, // what a first login asks for
//		Logger:   slog.Default(), // says why something was refused, and what cures it
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0.0"}, nil)
//	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "read_file"}, readFile, scopes.All("files:read"))
//	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
//		&mcp.StreamableHTTPOptions{Stateless: true}) // revision 2026-07-28; else sessions, up to 2025-11-25
//	mux := http.NewServeMux()
//	auth.Mount(mux, handler)
//
// A server that has its tools already keeps its mcp.AddTool lines and adds three calls:
// [Middleware.Protect], [Middleware.RequireTools] and [Middleware.Mount]. Tools learn who is calling
// from [FromContext]. With a router other than http.ServeMux, mount [Middleware.Wrap] at the path of
// the resource and [Middleware.Metadata] at [Middleware.MetadataPath]: without the second, clients
// cannot find the login. [Middleware.Verify] finds misspelled rules and tools without one.
//
// # What a request goes through
//
// Host and Origin; credentials (exactly one); the token's form, issuer, signature and claims; the proof
// that the caller is the one to whom it was issued, where it is bound to a key; Config.Revoked; the caller's
// limits; the body, read strictly; the rule of each operation in it, the [Policy], and the operation's limit.
//
// A refusal at any step is answered before the handler behind has seen a byte, and so with a real status: 401
// with a challenge for a token that is missing or bad, 403 with insufficient_scope where more scopes would help,
// a bare 403 where no token would, 429 where it was too often, 503 where nobody can tell at the moment. Then the
// SDK parses the body itself, and a second guard judges what it found ([Middleware.Protect]).
//
// # Rules
//
// A rule stands beside the tool, prompt or resource that it is for; package scopes has the vocabulary.
// What has no rule is denied and answered as if it did not exist. One table serves calls, lists and
// [Middleware.Check], so that a list shows exactly what can be called, or stepped up to.
//
// Config.BaseScopes are what a first login asks for. Without them clients ask for all of
// scopes_supported, or for nothing.
//
// # Tokens that are bound to a key
//
// A bearer token works for whoever has it. One that is bound by DPoP (RFC 9449) works for the holder of a
// key alone, who makes a proof for each request. Both are accepted unless Config.DPoP says otherwise;
// challenges and metadata tell clients so. A bound token is never taken without its proof, and no proof
// twice. Behind several replicas, give all of them one [ReplayStore] and one list of nonce keys:
//
//	DPoP: mcpauth.DPoP{
//		Mode:      mcpauth.DPoPRequired,       // no plain bearer tokens
//		Nonces:    true,                       // proofs cannot be made in advance
//		NonceKeys: [][]byte{keyOfAllReplicas}, // 32 random bytes
//		Replay:    storeOfAllReplicas,
//	},
//
// The URL in a proof is compared with Resource, so a server that clients reach under another URL refuses
// all proofs; the log line shows both. [MutualTLS] is the same for tokens that are bound to a client
// certificate (RFC 8705). Package mcpauthtest has a client that makes proofs, good ones and bad ones.
//
// # Other credentials
//
// Opaque tokens are checked by asking their authorization server: [Introspection]. API keys
// ([NewAPIKeys]) and schemes of your own ([NewAuthenticator]) stand beside OAuth or replace it; what such
// a caller lacks is a bare 403, since nobody could add to it. A server on standard input and output takes
// its caller from the environment: [Middleware.StdioContext]. Package idp knows what the tokens of identity
// providers look like.
//
// # Things that go wrong
//
// A handler whose server was never given to Protect answers 503, with a log line that says so. So does
// every token while keys cannot be had: a 401 would make clients throw good tokens away.
//
// Set Config.Logger. Every refusal is one line with a stable [Reason], what was expected, what came,
// and what cures it on which side. Clients are told none of it. Most lines of a first day are about the
// audience: the authorization server must put Resource, byte for byte, into aud.
//
// Context values of a stateful session are those of the request that opened it. Behind Protect,
// FromContext returns the caller of the present request all the same; values of other middleware do
// not follow.
//
// Behind a reverse proxy, Resource is the public URL. Nothing is derived from Host or X-Forwarded
// headers.
package mcpauth
