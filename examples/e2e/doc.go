// Package e2e holds the end-to-end tests: the example programs authserver and resource-server as
// processes, and real clients in front of them: the Go SDK, two generations of the TypeScript SDK,
// mcp-remote, MCP Inspector, and oauth4webapi, an OAuth client that knows nothing of MCP. A second
// authorization server, oidc-provider, takes the place of authserver for some of them. Nothing of this
// library takes part on the client's side, but for the Go SDK's proofs of possession, which mcpauthtest
// makes.
//
//	npm ci --prefix examples/e2e/ts
//	go -C examples test -tags e2e ./e2e/...
//
// They need Node.js 20 or later and fail without it. For the programs that want 22.19 or later, npm
// brings one on Linux with an x64 processor; elsewhere the machine's own must be as new. The build tag
// keeps them out of go test ./..., which needs no network and no second language.
package e2e
