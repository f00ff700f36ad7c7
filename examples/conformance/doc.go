// Package conformance checks this library against tools that it has no part in.
//
// The MCP conformance suite, the released one and the newest preview, runs against go-sdk's own
// everything-server three times: as it is, with this middleware inside, and behind the example program
// resource-server as a reverse proxy. Every check of every scenario must come out the same. The suite
// cannot send headers, so a proxy in the test adds the token.
//
//	npm ci --prefix examples/conformance/ts
//	go -C examples test -tags conformance -v ./conformance/
//
// And pages of several origins, in a headless Chromium, find out what a browser lets them read.
//
//	go -C examples test -tags browser -v ./conformance/
//
// The tests need Node.js 20 or later and Chromium, and fail without them. The build tags keep them out of
// go test ./..., which needs neither a network nor other programs.
package conformance
