// Package mcpauthtest is for tests of protected MCP servers: an authorization server that makes any token
// without a login, clients that hold one, and assertions on what they get. Nothing leaves the process but by
// way of loopback. This is a whole test of a small server:
//
//	func TestFiles(t *testing.T) {
//		is := mcpauthtest.NewIssuer(t, "https://mcp.example.com/mcp")
//		auth, err := mcpauth.New(mcpauth.Config{Resource: is.Resource, Issuers: []mcpauth.Issuer{is.Config()}})
//		if err != nil {
//			t.Fatal(err)
//		}
//		server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0.0"}, nil)
//		mcpauth.AddTool(auth, server, &mcp.Tool{Name: "read_file"}, readFile, scopes.All("files:read"))
//		mcpauth.AddTool(auth, server, &mcp.Tool{Name: "delete_file"}, deleteFile,
//			scopes.And(scopes.All("files:write"), scopes.Role("admin")))
//		mux := http.NewServeMux()
//		auth.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
//			&mcp.StreamableHTTPOptions{Stateless: true}))
//
//		mcpauthtest.RequireRules(t, auth, server)
//		ada := is.Client(mux, mcpauthtest.Claims{Subject: "ada", Scope: "files:read", Roles: []string{"admin"}})
//		_, resp := ada.CallTool("read_file", nil)
//		mcpauthtest.AssertAllowed(t, resp)
//		_, resp = ada.CallTool("delete_file", nil)
//		mcpauthtest.AssertStepUp(t, resp, "files:write")
//		rio := is.Client(mux, mcpauthtest.Claims{Subject: "rio", Scope: "files:write"})
//		_, resp = rio.CallTool("delete_file", nil)
//		mcpauthtest.AssertForbidden(t, resp) // no scope makes an admin of rio
//	}
//
// # Your own configuration
//
// A server is best tested with the configuration that it will have. [NewIssuerLike] takes the
// [mcpauth.Issuer] out of it, a preset of package idp or one that is written by hand, and returns an issuer
// that stands in for it: its tokens have the same iss, aud, typ and claims, but its keys are the test's.
//
//	is := mcpauthtest.NewIssuerLike(t, cfg.Resource, cfg.Issuers[0])
//	cfg.Issuers[0] = is.Config()
//
// So have one function make the Config of your server, and another one its tools, for main and for tests. Rules that stand
// in a policy file are loaded as ever, with mcpauth.Middleware.LoadPolicyFile, before [RequireRules] or [CheckMatrix]. Tests
// that need no Redis get a Config whose Limits.Store and DPoP.Replay are nil, and mcpauth.NewRevocations(nil, nil).
//
// # Who may do what
//
// [Matrix] prints a table of tools, prompts and resources by callers, and [CheckMatrix] keeps it in a file, so
// that whoever reviews a change sees what it opens. [RequireRules] finds what was forgotten.
//
//	mcpauthtest.CheckMatrix(t, "testdata/matrix.txt", auth, server,
//		is.Caller("reader", mcpauthtest.Claims{Scope: "files:read"}),
//		is.Caller("editor", mcpauthtest.Claims{Scope: "files:read files:write"}),
//		is.Caller("admin", mcpauthtest.Claims{Scope: "files:read", Roles: []string{"admin"}}))
//
// The file, which a test that declares the flag -update writes:
//
//	                  reader   editor  admin
//	tool delete_file  hidden   hidden  step-up
//	tool read_file    yes      yes     yes
//	tool write_file   step-up  yes     step-up
//
// # Bad tokens and bad days
//
// [Claims] make tokens that have expired, are for another server, or are wrong in any other place
// (Claims.Extra, Claims.Header). [Issuer.Rotate], [Issuer.Down], [Issuer.Slow] and [Issuer.Hostile] make days on
// which something is wrong with the authorization server. A [Clock] moves time for issuer, client and server:
//
//	clock := mcpauthtest.NewClock(time.Time{})
//	is.Now, cfg.Now = clock.Now, clock.Now // before mcpauth.New
//	cfg.Revoked = mcpauth.NewRevocations(nil, clock.Now).Revoked // if there are revocations: they have a clock, too
//	...
//	clock.Advance(time.Hour) // the tokens of before have expired
//	is.Rotate()
//	clock.Advance(10 * time.Second) // servers fetch keys no sooner again
//
// Where a server answers something else than a test expects, its Config.Logger says why; t.Output (Go 1.25) puts that into
// the test's output: cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil)).
//
// API keys need no issuer: put one into the Header of a [NewClient] without a token. They are no column of a Matrix, since
// what they lack is refused for good.
//
// [Issuer.OpaqueToken] makes tokens that a server must ask about (RFC 7662), with the configuration of
// [Issuer.Introspection]; [Issuer.RevokeToken] ends them.
//
// # A client that speaks DPoP
//
// A [Client] whose token is bound to a key ([Claims].Key) makes its proofs by itself. For clients of your own,
// [DPoPTransport] turns an OAuth client that knows only bearer tokens into one that proves possession of
// a key (RFC 9449): put it into the http.Client that gets tokens and makes requests.
//
//	key, err := mcpauthtest.NewDPoPKey("") // ES256
//	client := &http.Client{Transport: &mcpauthtest.DPoPTransport{Key: key}}
//
// The Go SDK's client takes it twice, because it needs one http.Client for the login and one for the
// requests: in auth.AuthorizationCodeHandlerConfig.Client and in mcp.StreamableClientTransport.HTTPClient.
// It must be the same transport in both places: what the first has seen to be bound to the key, the
// second proves. Command dpop-client of the examples does this from login to tool call.
//
// # Bad proofs
//
// A server is tested by what it refuses. [DPoPKey.NewProof] makes the correct proof of a request, whose
// members a test then changes before [DPoPKey.Sign] signs it; [DPoPTransport.Edit] does so to a client's
// proofs as they are made; and [DPoPKey.SignParts] signs any two texts, for what is not even JSON.
//
//	proof := key.NewProof("POST", resource, token, "")
//	proof.Claims["htm"] = "GET"
//	req.Header.Set("Authorization", "DPoP "+token)
//	req.Header.Set("DPoP", key.Sign(proof))
package mcpauthtest
