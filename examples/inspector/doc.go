// Package inspector holds the newcomer's minute as a test: the program quickstart, the web page of MCP
// Inspector, and a headless Chromium that goes from one to the other as a person would, from the first
// 401 to the call that needs a step-up.
//
//	npm ci --prefix examples/e2e/ts
//	go -C examples test -tags browser ./inspector
//
// MCP Inspector and the Node.js that runs it are those of the folder e2e/ts, so that the page and the
// command line of one release are tested. With the environment variable MCPAUTH_SCREENSHOTS set to a
// folder, pictures of the pages are saved there. The build tag keeps the test out of go test ./...,
// which needs no browser.
package inspector
