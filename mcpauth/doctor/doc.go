// Package doctor examines a deployed MCP server the way its clients do, and says what they would stumble over and how to repair it:
//
//	report, err := doctor.Run(ctx, doctor.Options{URL: "https://mcp.example.com/mcp"})
//	if err != nil {
//		log.Fatal(err) // the options cannot be used; whatever is wrong with the server is a finding
//	}
//	fmt.Print(report)
//	if !report.OK() {
//		os.Exit(1)
//	}
//
// The command mcpauth-doctor is this and little more. It works with servers in any language. In a module that requires this one,
// run it as below; elsewhere, add @latest to the path:
//
//	go run github.com/go-mcpauth/sdk/mcpauth/cmd/mcpauth-doctor https://mcp.example.com/mcp
//
// # What it does
//
// Without a token: the first POST, GET, DELETE and server/discover; the challenge as the regular expressions and parsers of real
// clients read it; the metadata by header, path and root (RFC 9728); resource against the URL; CORS; every authorization server at every
// well-known place (RFC 8414, OpenID Connect Discovery); issuer, PKCE, registration, the resource parameter; keys, clocks, TLS, DPoP. With
// Options.ClientID and RedirectURI it asks the authorization endpoint about them. With a token: initialize and tools/list, and what the
// token says against what is published, byte for byte. [Inspect] does the last without a network.
//
// # What a finding means
//
// Fail: some client cannot get through, or the server is not safe. Warn: some may stumble, or it cannot be told from outside. Step and
// Cause do not change between releases; words do. Symptom joins a cause to what people see: "401 after a good login", say.
//
// # What it does not do
//
// It never follows a redirect, never sends the token anywhere but to Options.URL, and calls no tool but Options.Call. No finding repeats a token,
// proof, nonce, session or code, not even one that a server sends back. Documents of a server on the internet cannot send it to
// loopback addresses or plain http; a private network is not kept from it, so run it where the clients are.
package doctor
